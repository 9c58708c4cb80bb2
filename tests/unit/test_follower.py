"""Following: what other servers change is seen here, by polling for sure and by hints sooner."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from exemplar_server.core.exemplars import Hint
from exemplar_server.core.follower import Follower
from exemplar_server.core.snapshot_cache import SnapshotCache
from exemplar_server.errors import NotFoundError, StoreUnavailableError
from fakes import DIM, BruteIndex, FakeStore, exemplar, once

PATIENCE_SECONDS = 10


class SharedStore(FakeStore):
    """A store that another server writes to; it counts polls, hints on demand, and may fail."""

    def __init__(self):
        super().__init__()
        self.polls = 0
        self.is_down = False
        self.current_epoch = "first"
        self.hinted = asyncio.Queue()

    async def epoch(self):
        if self.is_down:
            raise StoreUnavailableError("down")
        return self.current_epoch

    async def revisions(self, incarnations):
        self.polls += 1
        if self.is_down:
            raise StoreUnavailableError("down")
        return await super().revisions(incarnations)

    async def hints(self):
        while True:
            yield await self.hinted.get()


async def until(is_so):
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_so():
            await asyncio.to_thread(lambda: None)  # others have their turn


@pytest.fixture
def store():
    return SharedStore()


@pytest.fixture
def cache(store):
    return SnapshotCache(store, BruteIndex, BruteIndex, 2**30)


@asynccontextmanager
async def following(store, cache, poll_seconds):
    follower = Follower(store, cache, poll_seconds)
    task = asyncio.create_task(follower.follow())
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await cache.close()


async def created(store, name="set"):
    return await store.create(
        "t", name, backbone="tiny", fingerprint="f", dim=DIM, keep_images=False, key=once()
    )


async def added(store, name="set"):
    target = await store.get("t", name)
    return await store.add(
        "t",
        target,
        [exemplar("a")],
        all_or_nothing=False,
        expected_revision=None,
        key=once(),
    )


def revision(cache, name="set"):
    found = cache.peek(("t", name))
    return found and found.support_set.revision


async def test_polling_sees_what_another_server_changed(store, cache):
    await created(store)
    await cache.get("t", "set", 0)
    async with following(store, cache, 0.01):
        change = await added(store)
        await until(lambda: revision(cache) == change.revision)


async def test_polling_sees_that_another_server_deleted(store, cache):
    await created(store)
    await cache.get("t", "set", 0)
    async with following(store, cache, 0.01):
        await store.delete("t", "set", expected_revision=None, key=once())
        await until(lambda: revision(cache) is None)


async def test_a_hint_is_enough(store, cache):
    target = await created(store)
    await cache.get("t", "set", 0)
    async with following(store, cache, 3600):
        await until(lambda: store.polls == 1)
        change = await added(store)
        store.hinted.put_nowait(Hint(target.incarnation, change.revision))
        await until(lambda: revision(cache) == change.revision)
        assert store.polls == 1  # what it says is enough


async def test_a_hint_of_the_end_is_enough(store, cache):
    target = await created(store)
    await cache.get("t", "set", 0)
    async with following(store, cache, 3600):
        await until(lambda: store.polls == 1)
        ended = await store.delete("t", "set", expected_revision=None, key=once())
        store.hinted.put_nowait(Hint(target.incarnation, ended.revision))
        await until(lambda: revision(cache) is None)


async def test_lost_hints_are_made_up_for_by_asking_for_all(store, cache):
    await created(store)
    await cache.get("t", "set", 0)
    async with following(store, cache, 3600):
        await until(lambda: store.polls == 1)
        change = await added(store)
        store.hinted.put_nowait(None)
        await until(lambda: revision(cache) == change.revision)


async def test_a_hint_of_what_is_not_here_costs_nothing(store, cache):
    await created(store)
    async with following(store, cache, 3600):
        await until(lambda: store.polls == 1)
        store.hinted.put_nowait(Hint("elsewhere", 7))
        await until(store.hinted.empty)
        assert store.polls == 1


async def test_a_store_that_is_away_is_asked_again_and_the_age_tells(store, cache):
    await created(store)
    await cache.get("t", "set", 0)
    store.is_down = True
    async with following(store, cache, 0.01) as follower:
        await asyncio.to_thread(lambda: None)
        before = follower.age_seconds
        await until(lambda: follower.age_seconds > before)
        change = await added(store)
        store.is_down = False
        await until(lambda: revision(cache) == change.revision)


async def test_a_restored_store_is_read_anew(store, cache):
    await created(store)
    await cache.get("t", "set", 0)
    async with following(store, cache, 0.01):
        await until(lambda: store.polls)
        store.current_epoch = "restored"
        await until(lambda: revision(cache) is None)


# Strict reads: no following needed


async def test_a_strict_cache_sees_every_change_at_once(store):
    cache = SnapshotCache(store, BruteIndex, BruteIndex, 2**30, is_strict=True)
    await created(store)
    await cache.get("t", "set", 0)
    change = await added(store)
    assert (await cache.get("t", "set", 0)).support_set.revision == change.revision
    await cache.close()


async def test_a_strict_cache_never_answers_from_what_was_deleted(store):
    cache = SnapshotCache(store, BruteIndex, BruteIndex, 2**30, is_strict=True)
    await created(store)
    await added(store)
    old = await cache.get("t", "set", 0)
    await store.delete("t", "set", expected_revision=None, key=once())
    with pytest.raises(NotFoundError):
        await cache.get("t", "set", 0)
    await created(store)
    new = await cache.get("t", "set", 0)
    assert new.support_set.incarnation != old.support_set.incarnation
    assert not new.live_count
    await cache.close()
