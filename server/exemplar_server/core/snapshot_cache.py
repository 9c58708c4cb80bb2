"""Snapshots in memory: loaded on first use, updated one way, dropped least recently used."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from exemplar_server.core import snapshot as snapshots
from exemplar_server.errors import NotFoundError

if TYPE_CHECKING:
    from exemplar_server.core.ports import IndexFactory, Store
    from exemplar_server.core.snapshot import Snapshot

Key = tuple[str, str]  # tenant, name


class SnapshotCache:
    """Holds the last snapshot of each support set, `budget_bytes` in all. One event loop only.

    A snapshot is published under its key's lock and dropped under it, so that a refresh that runs
    beside a delete cannot bring the deleted support set back.
    """

    def __init__(self, store: Store, build: IndexFactory, budget_bytes: int) -> None:
        self._store = store
        self._build = build
        self._budget_bytes = budget_bytes
        self._snapshots: OrderedDict[Key, Snapshot] = OrderedDict()
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._snapshots)

    async def get(self, tenant: str, name: str, min_revision: int) -> Snapshot:
        """A snapshot of `min_revision` or later; 0 takes what is here.

        Raises:
            NotFoundError: the tenant has no such support set.
            RevisionNotReachedError: the store has not seen `min_revision`.
        """
        key = (tenant, name)
        async with self._locks.setdefault(key, asyncio.Lock()):
            snapshot = self._snapshots.get(key)
            if snapshot is None or snapshot.support_set.revision < min_revision:
                snapshot = await self._refresh(key, snapshot)
            self._snapshots.move_to_end(key)
            self._evict()
        snapshot.support_set.check_reached(min_revision)
        return snapshot

    async def drop(self, tenant: str, name: str) -> None:
        key = (tenant, name)
        async with self._locks.setdefault(key, asyncio.Lock()):
            self._publish(key, None)

    async def _refresh(self, key: Key, old: Snapshot | None) -> Snapshot:
        incarnation = old.support_set.incarnation if old else ""
        revision = old.support_set.revision if old else 0
        try:
            delta = await self._store.delta(*key, incarnation, revision)
        except NotFoundError:
            self._publish(key, None)
            raise
        if old is None or delta.support_set.incarnation != incarnation:
            old = snapshots.empty(delta.support_set)
        snapshot = await asyncio.to_thread(snapshots.advance, old, delta, self._build)
        self._publish(key, snapshot)
        return snapshot

    def _publish(self, key: Key, snapshot: Snapshot | None) -> None:
        old = self._snapshots.pop(key, None)
        self.size_bytes -= old.size_bytes if old else 0
        if snapshot is not None:
            self._snapshots[key] = snapshot
            self.size_bytes += snapshot.size_bytes

    def _evict(self) -> None:
        """Drops the least recently used, but not the last one: whoever asked for it needs it."""
        while self.size_bytes > self._budget_bytes and len(self._snapshots) > 1:
            self._publish(next(iter(self._snapshots)), None)
