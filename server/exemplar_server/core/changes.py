"""Changes of the store that go on when their caller leaves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from exemplar_server.core.exemplars import Change
    from exemplar_server.core.snapshot_cache import SnapshotCache


class Changes:
    """What is committed reaches the cache, whoever still waits for it. One event loop only."""

    def __init__(self, cache: SnapshotCache) -> None:
        self._cache = cache
        self._tasks: set[asyncio.Task[Change]] = set()  # the loop itself holds tasks weakly

    async def of(self, tenant: str, name: str, change: Awaitable[Change]) -> Change:
        """Of a support set that may be held: what is held then has the change."""

        async def catch_up(done: Change) -> None:
            await self._cache.catch_up(tenant, name, done.revision)

        return await self.then(change, catch_up)

    async def then(
        self, change: Awaitable[Change], follow_up: Callable[[Change], Awaitable[object]]
    ) -> Change:
        async def change_and_follow_up() -> Change:
            done = await change
            await follow_up(done)
            return done

        task = asyncio.create_task(change_and_follow_up())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def settled(self) -> None:
        """Returns when nothing goes on."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
