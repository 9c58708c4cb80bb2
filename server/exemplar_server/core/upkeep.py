"""Merges and approximates segments of cached snapshots in the background."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from exemplar_server.core import approximation, merging
from exemplar_server.core.background import Background
from exemplar_server.core.merge import approximated, merge
from exemplar_server.core.merging import QUICK, SLOW
from exemplar_server.errors import OverloadedError

if TYPE_CHECKING:
    from exemplar_server.core.merge import Merge
    from exemplar_server.core.ports import ApproximateFactory, IndexFactory
    from exemplar_server.core.segments import Segment
    from exemplar_server.core.snapshot_cache import Key, SnapshotCache

Job = tuple["Key", str]  # at most one of each kind a support set


class Upkeep:
    """Works on the snapshots of one cache. One event loop only; each kind has a thread."""

    def __init__(
        self, cache: SnapshotCache, build: IndexFactory, approximate: ApproximateFactory
    ) -> None:
        self._cache = cache
        self._build = build
        self._approximate = approximate
        self._threads = {QUICK: Background("merge"), SLOW: Background("approximate")}
        self._tasks: dict[Job, asyncio.Task[None]] = {}
        self._at_work: dict[Job, tuple[Segment, ...]] = {}

    def tend(self, key: Key) -> None:
        """Starts what is due. To be told of every snapshot that is published."""
        for kind in (QUICK, SLOW):
            if (key, kind) not in self._tasks and self._due(key, kind):
                work = asyncio.get_running_loop().create_task(self._work_off(key, kind))
                self._tasks[key, kind] = work

    async def settled(self) -> None:
        """Returns when nothing is due any more."""
        while self._tasks:
            await asyncio.gather(*self._tasks.values())

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()  # one that had not begun cannot do it

    def _due(self, key: Key, kind: str) -> tuple[Segment, ...]:
        snapshot = self._cache.peek(key)
        other = self._at_work.get((key, SLOW if kind == QUICK else QUICK), ())
        busy = {segment.rows for segment in other}
        return () if snapshot is None else merging.due(snapshot, busy, kind)

    async def _work_off(self, key: Key, kind: str) -> None:
        try:
            with self._cache.pin(key):
                while segments := self._due(key, kind):
                    self._at_work[key, kind] = segments
                    with self._cache.reserved(_expected_bytes(segments, kind)):
                        await self._adopt(key, await self._merged(segments, kind))
                    del self._at_work[key, kind]
        except OverloadedError:
            pass  # no room: the next change tries again
        finally:
            self._at_work.pop((key, kind), None)
            del self._tasks[key, kind]

    async def _merged(self, segments: tuple[Segment, ...], kind: str) -> Merge:
        if kind == QUICK:
            return await self._threads[kind].run(merge, segments, self._build)
        both = self._build, self._approximate
        return await self._threads[kind].run(approximated, segments, *both)

    async def _adopt(self, key: Key, merged: Merge) -> None:
        async with self._cache.lock(key):
            snapshot = self._cache.peek(key)
            adopted = snapshot and merging.adopt(snapshot, merged)
            if adopted:
                self._cache.publish(key, adopted)


def _expected_bytes(segments: tuple[Segment, ...], kind: str) -> int:
    size_bytes = sum(segment.size_bytes for segment in segments)
    if kind == QUICK:
        return size_bytes
    rows = sum(map(len, segments))
    more = approximation.expected_bytes(rows, segments[0].rows.embeddings_ND.shape[1])
    return more if len(segments) == 1 else more + size_bytes
