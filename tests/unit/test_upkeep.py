"""Upkeep: segments merge in the background, within the budget, and never bring back the dead."""

import numpy as np
import pytest

from cached_stores import ROWS, CountingStore, cache_of, fill, stored
from exemplar_server.core import merging
from exemplar_server.core import snapshot as snapshots
from exemplar_server.core.snapshot import advance, empty
from fakes import (
    TENANT,
    BruteIndex,
    once,
    unit_rows,
)

QUERIES_QD = unit_rows(np.random.default_rng(7), 3)


@pytest.fixture
def store():
    return CountingStore()


@pytest.fixture(autouse=True)
def small_tail(monkeypatch):
    monkeypatch.setattr(snapshots, "TAIL_ROWS", 4)
    monkeypatch.setattr(merging, "TAIL_ROWS", 4)


async def grown(store, cache, additions):
    for step in range(additions):
        change = await fill(store, "a", 5, first=ROWS + 5 * step)
        await cache.catch_up(TENANT, "a", change.revision)


async def test_segments_merge_in_the_background(store):
    await stored(store, "a")
    cache = await cache_of(store, 100)
    await cache.get(TENANT, "a", 0)
    await grown(store, cache, 20)
    await cache.settled()
    snapshot = cache.peek((TENANT, "a"))
    assert snapshot.live_count == ROWS + 100
    assert len(snapshot.segments) < 7
    assert cache.size_bytes == snapshot.size_bytes
    whole = await store.delta(TENANT, "a", "", 0)
    expected = advance(empty(whole.support_set), whole, BruteIndex)
    assert snapshot.search(QUERIES_QD, 20) == expected.search(QUERIES_QD, 20)


async def test_a_merge_that_does_not_fit_is_left_and_the_segments_serve(store):
    await stored(store, "a")
    cache = await cache_of(store, 1.6)
    with cache.pin((TENANT, "a")):
        await cache.get(TENANT, "a", 0)
        await grown(store, cache, 2)
        await cache.settled()
        assert cache.peek((TENANT, "a")).live_count == ROWS + 10


async def test_a_support_set_deleted_during_a_merge_stays_deleted(store):
    await stored(store, "a")
    cache = await cache_of(store, 100)
    await cache.get(TENANT, "a", 0)
    await grown(store, cache, 4)
    await store.delete(TENANT, "a", expected_revision=None, key=once("DeleteSupportSet"))
    await cache.drop(TENANT, "a")
    await cache.settled()
    assert (len(cache), cache.size_bytes) == (0, 0)


async def test_closing_ends_merges(store):
    await stored(store, "a")
    cache = await cache_of(store, 100)
    await cache.get(TENANT, "a", 0)
    await grown(store, cache, 4)
    await cache.close()
    await cache.settled()
    assert cache.peek((TENANT, "a")).live_count == ROWS + 20
