"""Support sets as they come from a store on disk: loading, many tenants, and memory."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
import time
import zlib
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import numpy as np
from search_sets import clustered, exemplar_id

from exemplar_server.backends.faiss_index import FlatIndex, IvfIndex
from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.core import heap
from exemplar_server.core.exemplars import RequestKey
from exemplar_server.core.snapshot_cache import SnapshotCache
from exemplar_server.errors import OverloadedError
from server_process import Server

K = 5
FINGERPRINT = "f" * 64
BACKBONE = Path("build/backbones/lite0/1")
TENANTS = 10_000
LOADED = 100_000
BUDGET_BYTES = 512 * 2**20
# Sets of 2 to 80 MB; so many of each that all are ten times the budget.
SIZES = (400, 1600, 6400, 16_000)
OF_EACH_SIZE = 43
CALLERS = 8
MEMORY_SECONDS = 90


@contextmanager
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name) / "store.db"


@asynccontextmanager
async def cache_over(path, budget_bytes=2**32):
    store = SqlStore(f"sqlite:///{path}")
    cache = SnapshotCache(store, FlatIndex, IvfIndex, budget_bytes, heap.give_back)
    try:
        yield cache
    finally:
        await cache.close()
        store.close()


async def fill(path, sets, dim):
    """Writes support sets, (tenant, name, rows) each; the rows past the store, in a tenth."""
    store = SqlStore(f"sqlite:///{path}")
    made = {}
    for start in range(0, len(sets), 100):
        some = sets[start : start + 100]
        created = await asyncio.gather(*(_create(store, *which, dim) for which in some))
        made |= {s.incarnation: rows for s, (_, _, rows) in zip(created, some, strict=True)}
    store.close()
    rows_ND, codes_N = clustered(max(made.values()), dim, seed=1)
    blobs = [row_D.tobytes() for row_D in rows_ND]
    sums = [zlib.crc32(blob) for blob in blobs]
    with sqlite3.connect(path) as connection:
        for incarnation, rows in made.items():
            ids = [exemplar_id(number) for number in range(rows)]
            connection.executemany(
                "INSERT INTO exemplar (incarnation, exemplar_id, label, metadata, revision) "
                "VALUES (?, ?, ?, '{}', 2)",
                [(incarnation, i, f"label-{c}") for i, c in zip(ids, codes_N, strict=False)],
            )
            connection.executemany(
                "INSERT INTO embedding VALUES (?, ?, ?, ?, ?)",
                [
                    (incarnation, i, FINGERPRINT, b, s)
                    for i, b, s in zip(ids, blobs, sums, strict=False)
                ],
            )
            connection.execute(
                "UPDATE support_set SET revision = 2, exemplar_count = ? WHERE incarnation = ?",
                (rows, incarnation),
            )
    connection.close()


async def _create(store, tenant, name, _rows, dim):
    return await store.create(
        tenant,
        name,
        backbone="none",
        fingerprint=FINGERPRINT,
        dim=dim,
        keep_images=False,
        key=RequestKey("CreateSupportSet", "", b""),
    )


def load(rounds):
    return asyncio.run(_load(max(3, rounds // 40)))


async def _load(rounds):
    lines = ["| measure | value | bar |", "|---|---|---|"]
    with folder() as path:
        await fill(path, [("tenant", "large", LOADED)], 1280)
        seconds = [await _seconds_to_load(path, LOADED) for _ in range(rounds)]
        low, middle, high = np.percentile(seconds, [0, 50, 100])
        value = f"{middle:.2f} ({low:.2f} to {high:.2f})"
        lines.append(f"| load {LOADED:,} x 1280, {rounds} times, s (median, range) | {value} | 3 |")
    with folder() as path:
        await fill(path, [(f"tenant-{n}", "set", 25) for n in range(TENANTS)], 512)
        for name, where in (("an empty store", path.with_name("empty.db")), ("these", path)):
            lines.append(f"| server ready with {name}, s | {_seconds_to_serve(where):.1f} | 5 |")
        times = await _cold_queries(path)
        middle, high, most = np.percentile(times, [50, 99, 100])
        value = f"{middle:.1f}, {high:.1f}, {most:.1f}"
        lines.append(
            f"| first query of each of {TENANTS:,} tenants, ms (p50, p99, max) | {value} | p99 20 |"
        )
    return "\n".join(lines)


async def _seconds_to_load(path, rows):
    async with cache_over(path) as cache:
        started = time.perf_counter()
        snapshot = await cache.get("tenant", "large", 0)
        seconds = time.perf_counter() - started
        assert snapshot.live_count == rows
    return seconds


def _seconds_to_serve(path):
    started = time.perf_counter()
    server = Server(BACKBONE, path)
    server.address()
    seconds = time.perf_counter() - started
    server.stop()
    return seconds


async def _cold_queries(path):
    query_QD, _ = clustered(1, 512, seed=3)
    times = []
    async with cache_over(path) as cache:
        for number in np.random.default_rng(0).permutation(TENANTS):
            started = time.perf_counter()
            tenant = f"tenant-{number}"
            with cache.pin((tenant, "set")):
                snapshot = await cache.get(tenant, "set", 0)
                found = await asyncio.to_thread(snapshot.search, query_QD, K)
            times.append((time.perf_counter() - started) * 1e3)
            assert len(found[0]) == K
    return times


def memory(_rounds):
    return asyncio.run(_memory())


async def _memory():
    names = [f"set-{rows}-{n}" for n in range(OF_EACH_SIZE) for rows in SIZES]
    with folder() as path:
        await fill(path, [("tenant", name, int(name.split("-")[1])) for name in names], 1280)
        heap.give_back()
        async with cache_over(path, BUDGET_BYTES) as cache:
            await cache.get("tenant", names[0], 0)  # everything is imported and opened
            await cache.drop("tenant", names[0])
            heap.give_back()
            return await _under_load(cache, names)


async def _under_load(cache, names):
    idle = _resident_bytes()
    ended = asyncio.get_running_loop().time() + MEMORY_SECONDS
    seen, counts = [], {"queries": 0, "refused": 0}
    callers = [_call(cache, names, seed, ended, counts) for seed in range(CALLERS)]
    watching = asyncio.create_task(_watch(cache, seen))
    await asyncio.gather(*callers)
    watching.cancel()
    above, counted = (np.array(column) for column in zip(*seen, strict=True))
    above = (above - idle) / BUDGET_BYTES
    times = sum(SIZES) * OF_EACH_SIZE * 5120 / BUDGET_BYTES
    made = f"{counts['queries']:,}, {counts['refused']:,}"
    lines = ["| measure | value | bar |", "|---|---|---|"]
    lines.append(f"| support sets, {times:.1f} times the budget of 512 MiB | {len(names)} | |")
    lines.append(f"| queries of {CALLERS} callers in {MEMORY_SECONDS} s, refused | {made} | |")
    lines.append(f"| memory above idle, of the budget (p50, p99, max) | {_three(above)} | 1.15 |")
    counted = _three(counted / BUDGET_BYTES)
    lines.append(f"| what the cache counts, of the budget (p50, p99, max) | {counted} | 1 |")
    return "\n".join(lines)


def _three(values):
    return ", ".join(f"{value:.2f}" for value in np.percentile(values, [50, 99, 100]))


async def _call(cache, names, seed, ended, counts):
    """Queries support sets, the n-th most wanted one 1 / n as often as the first."""
    rng = np.random.default_rng(seed)
    order = np.random.default_rng(0).permutation(len(names))
    shares = 1 / np.arange(1, len(names) + 1)
    query_QD, _ = clustered(1, 1280, seed=3)
    while asyncio.get_running_loop().time() < ended:
        name = names[order[rng.choice(len(names), p=shares / shares.sum())]]
        counts["queries"] += 1
        try:
            await _ask(cache, name, query_QD)
        except OverloadedError as full:
            counts["refused"] += 1
            await asyncio.sleep(full.retry_after_seconds / 10)


async def _ask(cache, name, query_QD):
    """A function of its own, as a call of the server: at its end, nobody holds the snapshot."""
    with cache.pin(("tenant", name)):
        snapshot = await cache.get("tenant", name, 0)
        await asyncio.to_thread(snapshot.search, query_QD, K)


async def _watch(cache, seen):
    while True:
        seen.append((_resident_bytes(), cache.size_bytes))
        await asyncio.sleep(0.05)


def _resident_bytes():
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
