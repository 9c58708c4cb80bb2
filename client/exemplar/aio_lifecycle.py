"""The asyncio client's methods about what becomes of support sets after they were filled."""

from __future__ import annotations

from exemplar import lifecycle_plans
from exemplar.async_driver import AsyncDriver
from exemplar.lifecycle import (
    CopyResult,
    DeletionReceipt,
    ImagesResult,
    RollBackResult,
    Snapshot,
    SnapshotResult,
    UpdateResult,
    Updates,
    WarmUpResult,
)
from exemplar.memory import Memory


class AsyncLifecycleMethods:
    """A part of AsyncClient, which sets the attributes."""

    _driver: AsyncDriver
    _memory: Memory

    async def update_exemplars(
        self,
        support_set: str,
        updates: Updates,
        *,
        expected_revision: int | None = None,
        request_id: str | None = None,
    ) -> UpdateResult:
        return await self._driver.run(
            lifecycle_plans.update_exemplars(
                self._memory, support_set, updates, expected_revision, request_id
            )
        )

    async def update_support_set(
        self,
        name: str,
        *,
        keep_images: bool,
        expected_revision: int | None = None,
        request_id: str | None = None,
    ) -> ImagesResult:
        return await self._driver.run(
            lifecycle_plans.update_support_set(
                self._memory, name, keep_images, expected_revision, request_id
            )
        )

    async def copy_support_set(
        self,
        support_set: str,
        new_name: str,
        *,
        min_revision: int | None = None,
        request_id: str | None = None,
    ) -> CopyResult:
        return await self._driver.run(
            lifecycle_plans.copy_support_set(
                self._memory, support_set, new_name, min_revision, request_id
            )
        )

    async def create_snapshot(
        self,
        support_set: str,
        snapshot: str,
        *,
        expected_revision: int | None = None,
        request_id: str | None = None,
    ) -> SnapshotResult:
        return await self._driver.run(
            lifecycle_plans.create_snapshot(support_set, snapshot, expected_revision, request_id)
        )

    async def list_snapshots(self, support_set: str) -> list[Snapshot]:
        return await self._driver.run(lifecycle_plans.list_snapshots(support_set))

    async def delete_snapshot(
        self, support_set: str, snapshot: str, *, request_id: str | None = None
    ) -> None:
        await self._driver.run(lifecycle_plans.delete_snapshot(support_set, snapshot, request_id))

    async def roll_back(
        self,
        support_set: str,
        to: str | int,
        *,
        expected_revision: int | None = None,
        request_id: str | None = None,
    ) -> RollBackResult:
        return await self._driver.run(
            lifecycle_plans.roll_back(self._memory, support_set, to, expected_revision, request_id)
        )

    async def warm_up(
        self,
        support_set: str,
        *,
        min_revision: int | None = None,
        timeout_seconds: float = 600.0,
    ) -> WarmUpResult:
        return await self._driver.run(
            lifecycle_plans.warm_up(self._memory, support_set, min_revision, timeout_seconds)
        )

    async def delete_tenant(
        self,
        confirmation: str,
        *,
        request_id: str | None = None,
        timeout_seconds: float = 3600.0,
    ) -> DeletionReceipt:
        return await self._driver.run(
            lifecycle_plans.delete_tenant(confirmation, request_id, timeout_seconds)
        )
