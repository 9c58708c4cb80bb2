"""The asyncio client's methods about what becomes of support sets after they were filled."""

from __future__ import annotations

from exemplar import lifecycle_plans
from exemplar.async_driver import AsyncDriver
from exemplar.lifecycle import UpdateResult, Updates
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
