"""The store's calls about what becomes of support sets after they were filled."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from exemplar_server.backends import sql_copies, sql_snapshots, sql_updates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from exemplar_server.backends.sql_rows import Done
    from exemplar_server.core.exemplars import (
        Change,
        ExemplarUpdate,
        ItemResult,
        RequestKey,
        SavedSnapshot,
    )
    from exemplar_server.core.limits import Quotas

T = TypeVar("T")


class SqlLifecycle:
    """A part of SqlStore, which has what these calls run on; implements core.ports.Lifecycle."""

    _quotas: Quotas

    async def _change(self, run: Callable[[Connection], Done]) -> Change:
        raise NotImplementedError

    async def _read(self, run: Callable[[Connection], T]) -> T:
        raise NotImplementedError

    async def update_exemplars(
        self,
        tenant: str,
        name: str,
        updates: Sequence[ExemplarUpdate | ItemResult],
        *,
        expected_revision: int | None,
        key: RequestKey,
    ) -> Change:
        return await self._change(
            lambda c: sql_updates.update_exemplars(
                c, tenant, name, updates, expected_revision=expected_revision, key=key
            )
        )

    async def update_support_set(
        self,
        tenant: str,
        name: str,
        *,
        keep_images: bool,
        expected_revision: int | None,
        key: RequestKey,
    ) -> Change:
        return await self._change(
            lambda c: sql_updates.update_support_set(
                c,
                tenant,
                name,
                keep_images=keep_images,
                expected_revision=expected_revision,
                key=key,
            )
        )

    async def copy(
        self, tenant: str, name: str, new_name: str, *, min_revision: int, key: RequestKey
    ) -> Change:
        return await self._change(
            lambda c: sql_copies.copy(
                c, tenant, name, new_name, min_revision=min_revision, quotas=self._quotas, key=key
            )
        )

    async def create_snapshot(
        self,
        tenant: str,
        name: str,
        snapshot: str,
        *,
        most: int,
        expected_revision: int | None,
        key: RequestKey,
    ) -> Change:
        return await self._change(
            lambda c: sql_snapshots.create(
                c,
                tenant,
                name,
                snapshot,
                most=most,
                expected_revision=expected_revision,
                key=key,
            )
        )

    async def snapshots(self, tenant: str, name: str) -> list[SavedSnapshot]:
        return await self._read(lambda c: sql_snapshots.page(c, tenant, name))

    async def delete_snapshot(
        self, tenant: str, name: str, snapshot: str, *, key: RequestKey
    ) -> Change:
        return await self._change(lambda c: sql_snapshots.delete(c, tenant, name, snapshot, key))

    async def roll_back(
        self,
        tenant: str,
        name: str,
        to: str | int,
        *,
        expected_revision: int | None,
        key: RequestKey,
    ) -> Change:
        return await self._change(
            lambda c: sql_snapshots.roll_back(
                c, tenant, name, to, expected_revision=expected_revision, key=key
            )
        )
