"""Stores whose readings a cache's tests count and hold up, and caches with room for so much."""

from __future__ import annotations

import asyncio

from exemplar_server.core.snapshot import expected_bytes
from exemplar_server.core.snapshot_cache import SnapshotCache
from fakes import (
    DIM,
    FINGERPRINT,
    TENANT,
    BruteIndex,
    FakeStore,
    RoughIndex,
    exemplar,
    once,
)

ROWS = 10


class CountingStore(FakeStore):
    """Counts what is read. Reading waits for `gate`; a `broken` name raises its error."""

    def __init__(self):
        super().__init__()
        self.deltas, self.reading, self.most_reading = [], 0, 0
        self.broken = {}
        self.started = asyncio.Semaphore(0)
        self.gate = asyncio.Event()
        self.gate.set()

    async def delta(self, tenant, name, incarnation, revision):
        self.deltas.append(name)
        self.started.release()
        self.reading += 1
        self.most_reading = max(self.reading, self.most_reading)
        await self.gate.wait()
        self.reading -= 1
        if name in self.broken:
            raise self.broken[name]
        return await super().delta(tenant, name, incarnation, revision)


async def fill(store, name, rows=ROWS, first=0):
    made = [exemplar(f"{n:04}", label=f"l{n % 3}", seed=n) for n in range(first, first + rows)]
    target = await store.get(TENANT, name)
    return await store.add(
        TENANT, target, made, all_or_nothing=True, expected_revision=None, key=once()
    )


async def stored(store, *names, rows=ROWS):
    for name in names:
        await store.create(
            TENANT,
            name,
            backbone="tiny",
            fingerprint=FINGERPRINT,
            dim=DIM,
            keep_images=False,
            key=once("CreateSupportSet"),
        )
        await fill(store, name, rows)


async def bytes_of(store, name):
    return expected_bytes(await store.get(TENANT, name))


async def cache_of(store, sets, **options):
    """A cache with room for so many support sets of ROWS exemplars."""
    room = await bytes_of(store, "a")
    return SnapshotCache(store, BruteIndex, RoughIndex, int(sets * room), **options)
