"""The cache: loaded once, within its budget, and nothing that is in use is taken away."""

import asyncio

import numpy as np
import pytest

from cached_stores import ROWS, CountingStore, bytes_of, cache_of, fill, stored
from exemplar_server.core import snapshot_cache
from exemplar_server.errors import (
    CorruptSupportSetError,
    NotFoundError,
    OverloadedError,
    StoreUnavailableError,
)
from fakes import (
    TENANT,
    once,
    unit_rows,
)
from service_calls import Service, labelled, vector_of

QUERIES_QD = unit_rows(np.random.default_rng(7), 3)


@pytest.fixture
def store():
    return CountingStore()


async def test_many_calls_at_once_load_a_support_set_once(store):
    await stored(store, "a")
    cache = await cache_of(store, 1.2)
    found = await asyncio.gather(*(cache.get(TENANT, "a", 0) for _ in range(20)))
    assert store.deltas == ["a"]
    assert all(snapshot is found[0] for snapshot in found)


async def test_a_few_support_sets_are_loaded_at_once_and_the_others_wait(store):
    names = [f"s{n}" for n in range(6)]
    await stored(store, "a", *names)
    cache = await cache_of(store, 10)
    store.gate.clear()
    calls = [asyncio.create_task(cache.get(TENANT, name, 0)) for name in names]
    for _ in range(snapshot_cache.LOADS_AT_ONCE):
        await store.started.acquire()
    store.gate.set()
    await asyncio.gather(*calls)
    assert store.most_reading == snapshot_cache.LOADS_AT_ONCE


async def test_the_least_recently_used_make_room_down_to_nine_tenths(store):
    names = [f"s{n:02}" for n in range(40)]
    await stored(store, "a", *names)
    cache = await cache_of(store, 20)
    budget_bytes = 20 * await bytes_of(store, "a")
    evictions = 0
    for number, name in enumerate(names):
        before = len(cache)
        await cache.get(TENANT, "a", 0)
        await cache.get(TENANT, name, 0)
        if len(cache) <= before > 1:
            evictions += 1
            assert cache.size_bytes <= snapshot_cache.EVICTED_TO * budget_bytes
        assert cache.size_bytes <= budget_bytes
        here = names[number + 2 - len(cache) : number + 1]
        assert all(cache.peek((TENANT, name)) for name in ["a", *here])
    assert 1 < evictions < 15


async def test_a_pinned_snapshot_stays_and_what_does_not_fit_beside_it_is_refused(store):
    await stored(store, "a", "b")
    cache = await cache_of(store, 1.5)
    with cache.pin((TENANT, "a")):
        snapshot = await cache.get(TENANT, "a", 0)
        with pytest.raises(OverloadedError, match="EXEMPLAR_INDEX_BYTES") as refused:
            await cache.get(TENANT, "b", 0)
        assert cache.peek((TENANT, "a")) is snapshot
    assert refused.value.retry_after_seconds > 0
    assert store.deltas == ["a"]  # refused before it was read
    await cache.get(TENANT, "b", 0)
    assert cache.peek((TENANT, "a")) is None


async def test_what_a_call_uses_is_not_evicted_by_another():
    service = Service()
    for name in ("a", "b"):
        await service.create(name)
        await service.add(labelled("x", vector_of(0)), name=name)
    await service.classify(vector_of(0), name="a")
    small = Service(store=service.store, index_bytes=int(1.5 * service.cache.size_bytes))
    async with small.sets.snapshot(TENANT, "a", 0):
        with pytest.raises(OverloadedError):
            await small.classify(vector_of(0), name="b")
    (answer,) = await small.classify(vector_of(0), name="b")
    assert answer.scores[0].label == "x"


async def test_a_support_set_larger_than_the_budget_is_refused_and_others_go_on(store):
    await stored(store, "a")
    await stored(store, "large", rows=500)
    cache = await cache_of(store, 1.5)
    snapshot = await cache.get(TENANT, "a", 0)
    with pytest.raises(OverloadedError):
        await cache.get(TENANT, "large", 0)
    assert cache.peek((TENANT, "a")) is snapshot  # nothing was dropped in vain


async def test_room_is_reserved_before_reading(store):
    await stored(store, "a", "b")
    cache = await cache_of(store, 1.5)
    store.gate.clear()
    loading = asyncio.create_task(cache.get(TENANT, "a", 0))
    await store.started.acquire()
    with pytest.raises(OverloadedError):
        await cache.get(TENANT, "b", 0)
    store.gate.set()
    assert (await loading).live_count == ROWS


async def test_the_size_is_that_of_the_snapshots_and_nothing_stays_reserved(store):
    await stored(store, "a", "b", "c")
    cache = await cache_of(store, 2.5)
    for name in "abcabc":
        await cache.get(TENANT, name, 0)
    here = [cache.peek((TENANT, name)) for name in "abc"]
    assert cache.size_bytes == sum(snapshot.size_bytes for snapshot in here if snapshot)
    for name in "abc":
        await cache.drop(TENANT, name)
    assert (cache.size_bytes, len(cache)) == (0, 0)


async def test_what_a_call_computed_counts_when_it_ends(store):
    await stored(store, "a")
    cache = await cache_of(store, 10)
    with cache.pin((TENANT, "a")):
        snapshot = await cache.get(TENANT, "a", 0)
        before = cache.size_bytes
        assert len(snapshot.prototypes[0]) == 3
    assert cache.size_bytes == snapshot.size_bytes >= before + snapshot.prototypes[1].nbytes


async def test_memory_is_given_back_after_evictions(store, monkeypatch):
    monkeypatch.setattr(snapshot_cache, "GIVE_BACK_SECONDS", 0)
    await stored(store, "a", "b")
    given = asyncio.Event()
    loop = asyncio.get_running_loop()
    cache = await cache_of(store, 1.5, give_back=lambda: loop.call_soon_threadsafe(given.set))
    await cache.get(TENANT, "a", 0)
    assert not given.is_set()
    await cache.get(TENANT, "b", 0)
    await given.wait()


async def test_a_change_is_brought_to_what_is_here_and_loads_nothing_else(store):
    await stored(store, "a", "b")
    cache = await cache_of(store, 10)
    await cache.get(TENANT, "a", 0)
    for name in "ab":
        change = await fill(store, name, 1, first=ROWS)
        await cache.catch_up(TENANT, name, change.revision)
    assert cache.peek((TENANT, "a")).live_count == ROWS + 1
    assert cache.peek((TENANT, "b")) is None


async def test_a_change_that_cannot_be_read_back_is_loaded_by_the_next_call(store):
    await stored(store, "a")
    cache = await cache_of(store, 10)
    await cache.get(TENANT, "a", 0)
    change = await fill(store, "a", 1, first=ROWS)
    store.broken["a"] = StoreUnavailableError("the store cannot be read")
    await cache.catch_up(TENANT, "a", change.revision)
    del store.broken["a"]
    assert (await cache.get(TENANT, "a", 0)).live_count == ROWS + 1


async def test_a_corrupt_support_set_is_refused_alone_and_not_read_again(store):
    await stored(store, "a", "bad")
    cache = await cache_of(store, 10)
    store.broken["bad"] = CorruptSupportSetError("support set 'bad': not what was written")
    for _ in range(3):
        with pytest.raises(CorruptSupportSetError, match="'bad'"):
            await cache.get(TENANT, "bad", 0)
    assert (await cache.get(TENANT, "a", 0)).live_count == ROWS
    assert (store.deltas, cache.corrupt_count) == (["bad", "a"], 1)


async def test_a_corrupt_support_set_is_read_again_when_it_changed(store):
    await stored(store, "a")
    cache = await cache_of(store, 10)
    store.broken["a"] = CorruptSupportSetError("not what was written")
    with pytest.raises(CorruptSupportSetError):
        await cache.get(TENANT, "a", 0)
    del store.broken["a"]
    await fill(store, "a", 1, first=ROWS)
    assert (await cache.get(TENANT, "a", 0)).live_count == ROWS + 1
    assert cache.corrupt_count == 0


async def test_a_corrupt_support_set_that_is_deleted_is_gone(store):
    await stored(store, "a")
    cache = await cache_of(store, 10)
    store.broken["a"] = CorruptSupportSetError("not what was written")
    with pytest.raises(CorruptSupportSetError):
        await cache.get(TENANT, "a", 0)
    await store.delete(TENANT, "a", expected_revision=None, key=once("DeleteSupportSet"))
    await cache.drop(TENANT, "a")
    assert cache.corrupt_count == 0
    with pytest.raises(NotFoundError):
        await cache.get(TENANT, "a", 0)
