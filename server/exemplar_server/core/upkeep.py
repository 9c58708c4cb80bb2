"""Merges segments of cached snapshots in the background."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from exemplar_server.core import merging
from exemplar_server.core.background import Background
from exemplar_server.core.segments import merge
from exemplar_server.errors import OverloadedError

if TYPE_CHECKING:
    from exemplar_server.core.ports import IndexFactory
    from exemplar_server.core.segments import Segment
    from exemplar_server.core.snapshot_cache import Key, SnapshotCache


class Upkeep:
    """Works on the snapshots of one cache. One event loop only; the work has its own thread."""

    def __init__(self, cache: SnapshotCache, build: IndexFactory) -> None:
        self._cache = cache
        self._build = build
        self._thread = Background("merge")
        self._tasks: dict[Key, asyncio.Task[None]] = {}

    def tend(self, key: Key) -> None:
        """Starts what is due. To be told of every snapshot that is published."""
        if key not in self._tasks and self._due(key):
            self._tasks[key] = asyncio.get_running_loop().create_task(self._merge_all(key))

    async def settled(self) -> None:
        """Returns when nothing is due any more."""
        while self._tasks:
            await asyncio.gather(*self._tasks.values())

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _due(self, key: Key) -> tuple[Segment, ...]:
        snapshot = self._cache.peek(key)
        return () if snapshot is None else merging.due(snapshot)

    async def _merge_all(self, key: Key) -> None:
        try:
            with self._cache.pin(key):
                while segments := self._due(key):
                    await self._merge(key, segments)
        except OverloadedError:
            pass  # no room for a copy: the next change tries again
        finally:
            del self._tasks[key]

    async def _merge(self, key: Key, segments: tuple[Segment, ...]) -> None:
        with self._cache.reserved(sum(segment.size_bytes for segment in segments)):
            merged = await self._thread.run(merge, segments, self._build)
            async with self._cache.lock(key):
                snapshot = self._cache.peek(key)
                adopted = snapshot and merging.adopt(snapshot, merged)
                if adopted:
                    self._cache.publish(key, adopted)
