"""Snapshots in memory: loaded on first use, updated one way, dropped least recently used."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from exemplar_server.core import snapshot as snapshots
from exemplar_server.core.upkeep import Upkeep
from exemplar_server.errors import (
    CorruptSupportSetError,
    ExemplarError,
    NotFoundError,
    OverloadedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, KeysView

    from exemplar_server.core.exemplars import SupportSet
    from exemplar_server.core.ports import ApproximateFactory, IndexFactory, Store
    from exemplar_server.core.snapshot import Snapshot

Key = tuple[str, str]  # tenant, name

# Half of the store's readers: listings and additions need the others.
LOADS_AT_ONCE = 2
# Evicting goes on to this share of the budget, so that not every load has to evict.
EVICTED_TO = 0.9
RETRY_SECONDS = 1.0
# How often memory is given back at most.
GIVE_BACK_SECONDS = 0.5


class SnapshotCache:
    """Holds the last snapshot of each support set, `budget_bytes` in all. One event loop only.

    A snapshot is published under its key's lock and dropped under it, so that a refresh that runs
    beside a delete cannot bring the deleted support set back.
    """

    def __init__(
        self,
        store: Store,
        build: IndexFactory,
        approximate: ApproximateFactory,
        budget_bytes: int,
        give_back: Callable[[], None] = lambda: None,
        *,
        is_strict: bool = False,
    ) -> None:
        """`give_back` returns freed memory to the system; it is called on another thread.

        A strict one asks the store for the revision each time that a snapshot is asked for.
        """
        self._store = store
        self._build = build
        self._budget_bytes = budget_bytes
        self._give_back = give_back
        self._is_strict = is_strict
        self._snapshots: OrderedDict[Key, Snapshot] = OrderedDict()
        self._keys: dict[str, Key] = {}  # by incarnation
        self._sizes: dict[Key, int] = {}
        self._pins: Counter[Key] = Counter()
        self._corrupt: dict[Key, tuple[SupportSet, str]] = {}
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()
        self._loads = asyncio.Semaphore(LOADS_AT_ONCE)
        self._giving_back: asyncio.TimerHandle | None = None
        self._upkeep = Upkeep(self, build, approximate)
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._snapshots)

    @property
    def approximated_count(self) -> int:
        """Support sets whose searches may be approximate."""
        return sum(snapshot.is_approximated for snapshot in self._snapshots.values())

    @property
    def corrupt_count(self) -> int:
        """Support sets that were found corrupt and are still as they were."""
        return len(self._corrupt)

    def peek(self, key: Key) -> Snapshot | None:
        """What is here, which is not used by that."""
        return self._snapshots.get(key)

    def lock(self, key: Key) -> asyncio.Lock:
        """To be held by whoever publishes."""
        return self._locks.setdefault(key, asyncio.Lock())

    async def get(self, tenant: str, name: str, min_revision: int) -> Snapshot:
        """A snapshot of `min_revision` or later; 0 takes what is here.

        Raises:
            NotFoundError: the tenant has no such support set.
            RevisionNotReachedError: the store has not seen `min_revision`.
            CorruptSupportSetError: the store's rows are not what was written.
            OverloadedError: it does not fit into the budget beside what is in use.
        """
        key = (tenant, name)
        async with self.lock(key):
            if self._is_strict:
                min_revision = max(min_revision, await self._current_revision(key))
            snapshot = self._snapshots.get(key)
            if snapshot is None:
                snapshot = await self._load(key)
            elif snapshot.support_set.revision < min_revision:
                snapshot = await self._refresh(key, snapshot)
            if key in self._snapshots:
                self._snapshots.move_to_end(key)
            self._make_room(0)
        snapshot.support_set.check_reached(min_revision)
        return snapshot

    @contextmanager
    def pin(self, key: Key) -> Iterator[None]:
        """Its snapshot is not evicted before the end."""
        self._pins[key] += 1
        try:
            yield
        finally:
            self._pins[key] -= 1
            if not self._pins[key]:
                del self._pins[key]
                self._measure(key)

    async def catch_up(self, tenant: str, name: str, revision: int) -> None:
        """Brings what is here to `revision`, after a change.

        Never fails, as the change is made: what cannot be brought there is dropped, and whoever
        asks next loads it.
        """
        key = (tenant, name)
        async with self.lock(key):
            snapshot = self._snapshots.get(key)
            if snapshot is None or snapshot.support_set.revision >= revision:
                return
            try:
                await self._refresh(key, snapshot)
            except ExemplarError:
                self.publish(key, None)

    def incarnations(self) -> KeysView[str]:
        """What is here."""
        return self._keys.keys()

    async def follow(self, incarnation: str, revision: int | None) -> None:
        """Brings what is here of an incarnation to `revision`; None says that it has ended."""
        key = self._keys.get(incarnation)
        if key is not None and revision is None:
            await self.drop(*key)
        elif key is not None and revision is not None:
            await self.catch_up(*key, revision)

    async def clear(self) -> None:
        for key in list(self._snapshots):
            await self.drop(*key)

    async def drop(self, tenant: str, name: str) -> None:
        key = (tenant, name)
        async with self.lock(key):
            self.publish(key, None)
            self._corrupt.pop(key, None)

    async def settled(self) -> None:
        """Returns when nothing is left to be done in the background."""
        await self._upkeep.settled()

    async def close(self) -> None:
        """Ends what goes on in the background."""
        await self._upkeep.close()
        if self._giving_back is not None:
            self._giving_back.cancel()

    @contextmanager
    def reserved(self, size_bytes: int) -> Iterator[None]:
        """Keeps room for so much until the end.

        Raises:
            OverloadedError: there is no room beside what is in use.
        """
        if not self._make_room(size_bytes):
            raise OverloadedError(
                f"no room for {size_bytes} bytes of a support set beside those in use: "
                f"EXEMPLAR_INDEX_BYTES is {self._budget_bytes}",
                RETRY_SECONDS,
            )
        self.size_bytes += size_bytes
        try:
            yield
        finally:
            self.size_bytes -= size_bytes

    def publish(self, key: Key, snapshot: Snapshot | None) -> None:
        """Under the key's lock only. None takes away what is here."""
        self.size_bytes -= self._sizes.pop(key, 0)
        if (before := self._snapshots.get(key)) is not None:
            del self._keys[before.support_set.incarnation]
        if snapshot is None:
            self._snapshots.pop(key, None)
        else:
            self._snapshots[key] = snapshot  # its place among the recently used stays
            self._keys[snapshot.support_set.incarnation] = key
            self._measure(key)
            self._upkeep.tend(key)

    def _measure(self, key: Key) -> None:
        """Calls compute more of a snapshot, which it keeps."""
        if (snapshot := self._snapshots.get(key)) is not None:
            self.size_bytes -= self._sizes.get(key, 0)
            self._sizes[key] = snapshot.size_bytes
            self.size_bytes += self._sizes[key]

    async def _current_revision(self, key: Key) -> int:
        """As the store has it now; an incarnation that ended is dropped."""
        snapshot = self._snapshots.get(key)
        try:
            current = await self._store.get(*key)
        except NotFoundError:
            self.publish(key, None)
            raise
        if snapshot and snapshot.support_set.incarnation != current.incarnation:
            self.publish(key, None)
        return current.revision

    async def _load(self, key: Key) -> Snapshot:
        async with self._loads:
            support_set = await self._store.get(*key)
            self._check_intact(key, support_set)
            return await self._read_whole(key, support_set)

    async def _read_whole(self, key: Key, support_set: SupportSet) -> Snapshot:
        with self.reserved(snapshots.expected_bytes(support_set)):
            return await self._refresh(key, snapshots.empty(support_set), since=0)

    async def _refresh(self, key: Key, old: Snapshot, since: int | None = None) -> Snapshot:
        known = old.support_set
        since = known.revision if since is None else since
        try:
            delta = await self._store.delta(*key, known.incarnation, since)
        except NotFoundError:
            self.publish(key, None)
            raise
        except CorruptSupportSetError as error:
            self.publish(key, None)
            self._corrupt[key] = (await self._store.get(*key), str(error))
            raise
        if delta.support_set.incarnation != known.incarnation:
            old = snapshots.empty(delta.support_set)
        elif delta.support_set.space != known.space:  # another backbone's: not to be mixed
            self.publish(key, None)
            return await self._read_whole(key, delta.support_set)
        snapshot = await asyncio.to_thread(snapshots.advance, old, delta, self._build)
        self.publish(key, snapshot)
        return snapshot

    def _check_intact(self, key: Key, support_set: SupportSet) -> None:
        """Until the support set changes, reading it again would tell the same."""
        known, message = self._corrupt.get(key, (None, ""))
        if known == support_set:
            raise CorruptSupportSetError(message)
        self._corrupt.pop(key, None)

    def _make_room(self, wanted_bytes: int) -> bool:
        """Whether so much fits in, after the least recently used that no call uses were dropped."""
        if self.size_bytes + wanted_bytes <= self._budget_bytes:
            return True
        idle_bytes = sum(size for key, size in self._sizes.items() if key not in self._pins)
        if wanted_bytes and wanted_bytes > self._budget_bytes - (self.size_bytes - idle_bytes):
            return False  # dropping all of them would not do
        for key in list(self._snapshots):
            if self.size_bytes + wanted_bytes <= EVICTED_TO * self._budget_bytes:
                break
            if key not in self._pins:
                self.publish(key, None)
        self._give_back_soon()
        return True

    def _give_back_soon(self) -> None:
        if self._giving_back is None:
            loop = asyncio.get_running_loop()
            self._giving_back = loop.call_later(GIVE_BACK_SECONDS, self._give_back_now)

    def _give_back_now(self) -> None:
        self._giving_back = None
        asyncio.get_running_loop().run_in_executor(None, self._give_back)
