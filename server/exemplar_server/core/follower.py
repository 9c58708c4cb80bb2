"""Brings what is cached up to date with a store that other servers change, too.

Asking for the revisions again and again is the guarantee; a hint only makes it sooner.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

from exemplar_server.errors import ExemplarError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exemplar_server.core.ports import Store
    from exemplar_server.core.snapshot_cache import SnapshotCache

# How stale a support set may be where hints are lost, and the store answers.
POLL_SECONDS = 1.0


class Follower:
    """Follows until `follow` is cancelled. One event loop only."""

    def __init__(
        self, store: Store, cache: SnapshotCache, poll_seconds: float = POLL_SECONDS
    ) -> None:
        self._store = store
        self._cache = cache
        self._poll_seconds = poll_seconds
        self._epoch = ""
        self._wanted = asyncio.Event()
        self._polled_at = time.monotonic()

    @property
    def age_seconds(self) -> float:
        """Since everything here was last known to be what the store has. Any thread may ask."""
        return time.monotonic() - self._polled_at

    async def follow(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._poll())
            tasks.create_task(self._listen())

    async def _poll(self) -> None:
        while True:
            started = time.monotonic()
            self._wanted.clear()
            try:
                await self._check_epoch()
                await self._check(list(self._cache.incarnations()))
                self._polled_at = started
            except ExemplarError:
                pass  # `age_seconds` tells, and the next round tries again
            try:
                async with asyncio.timeout(self._poll_seconds):
                    await self._wanted.wait()
            except TimeoutError:
                pass

    async def _listen(self) -> None:
        async with aclosing(self._store.hints()) as hints:
            async for hint in hints:
                if hint is None:
                    self._wanted.set()
                else:
                    # Not asked for again: a server hears of its own changes, too.
                    await self._cache.follow(hint.incarnation, hint.revision)

    async def _check_epoch(self) -> None:
        """After a restore, equal revisions may mean something else."""
        epoch = await self._store.epoch()
        if self._epoch not in {"", epoch}:
            await self._cache.clear()
        self._epoch = epoch

    async def _check(self, incarnations: Sequence[str]) -> None:
        revisions = await self._store.revisions(incarnations)
        await asyncio.gather(
            *(
                self._cache.follow(incarnation, revisions.get(incarnation))
                for incarnation in incarnations
            )
        )
