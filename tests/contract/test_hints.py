"""How servers that share a store learn what changed: revisions for sure, hints sooner."""

import asyncio
from contextlib import aclosing, asynccontextmanager

import pytest
from sqlalchemy import text

from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.core.exemplars import Hint
from fakes import retried
from store_calls import Calls

PATIENCE_SECONDS = 30
CUT_EVERYTHING_ELSE = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
  WHERE datname = 'used_by_all' AND query NOT LIKE 'LISTEN%' AND pid <> pg_backend_pid()
"""
CUT = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"


async def written(store, sql):
    """Does to the store what others may do to it."""
    await store.write(lambda c: c.execute(text(sql)).rowcount)


# Revisions


async def test_revisions_are_those_of_now(calls):
    one, two = await calls.create("one"), await calls.create("two")
    await calls.add(one, "a")
    assert await calls.store.revisions([one.incarnation, two.incarnation]) == {
        one.incarnation: 2,
        two.incarnation: 1,
    }


async def test_revisions_are_of_any_tenant(calls, store):
    other = await Calls(store, "other").create()
    assert await store.revisions([other.incarnation]) == {other.incarnation: 1}


async def test_a_deleted_support_set_has_no_revision_although_its_name_is_used_again(calls):
    old = await calls.create()
    await calls.delete()
    new = await calls.create()
    revisions = await calls.store.revisions([old.incarnation, new.incarnation])
    assert revisions.keys() == {new.incarnation}


@pytest.mark.parametrize("others", [0, 31_000])
async def test_any_number_of_revisions_is_asked_for_at_once(calls, others):
    target = await calls.create()
    asked = [*map(str, range(others)), target.incarnation]
    assert await calls.store.revisions(asked) == {target.incarnation: 1}


async def test_no_revisions_are_none(store):
    assert await store.revisions([]) == {}


# The epoch


async def test_the_epoch_stays(store):
    assert await store.epoch() == await store.epoch() != ""


async def test_the_epoch_of_a_restored_store_is_seen_while_it_is_open(sql_store):
    before = await sql_store.epoch()
    await written(sql_store, "UPDATE store SET epoch = 'restored'")
    assert before != await sql_store.epoch() == "restored"


# Hints


@pytest.mark.parametrize("store", ["sqlite", "fake"], indirect=True)
async def test_where_no_other_server_writes_there_are_no_hints(calls):
    await calls.create()
    assert [hint async for hint in calls.store.hints()] == []


@asynccontextmanager
async def hearing(store):
    """What the store hears, one by one; what it missed before is over."""
    async with aclosing(store.hints()) as hints:

        async def following():
            return await asyncio.wait_for(anext(hints), PATIENCE_SECONDS)

        assert await following() is None
        yield following


@pytest.fixture
def replicas(postgres_url):
    """Calls of two servers' stores over one database."""
    stores = SqlStore(postgres_url), SqlStore(postgres_url)
    yield [Calls(store) for store in stores]
    for store in stores:
        store.close()


async def test_a_replica_hears_what_another_one_changed(replicas):
    one, other = replicas
    target = await one.create()
    async with hearing(other.store) as following:
        for change in (one.add(target, "a"), one.remove("set", "a"), one.delete()):
            revision = (await change).revision
            assert await following() == Hint(target.incarnation, revision)


async def test_the_end_of_a_tenant_is_told_above_what_replicas_may_have(replicas):
    one, other = replicas
    target = await one.create()
    async with hearing(other.store) as following:
        await one.delete_tenant()
        assert await following() == Hint(target.incarnation, target.revision + 1)


async def test_what_a_replica_hears_it_can_read(replicas):
    one, other = replicas
    target = await one.create()
    async with hearing(other.store) as following:
        await one.add(target, "a")
        hint = await following()
        assert (await other.store.revisions([hint.incarnation]))[hint.incarnation] == hint.revision


async def test_what_changed_nothing_is_not_told(replicas):
    one, other = replicas
    target, key = await one.create(), retried()
    await one.add(target, "a", key=key)
    async with hearing(other.store) as following:
        await one.add(target, "a", key=key)
        revision = (await one.add(target, "b")).revision
        hints = [await following()]
        while hints[-1].revision < revision:
            hints.append(await following())
        assert hints.count(Hint(target.incarnation, revision)) == 1


async def test_a_change_whose_caller_left_is_told_all_the_same(replicas):
    one, other = replicas
    target = await one.create()
    async with hearing(other.store) as following:
        left = asyncio.ensure_future(one.add(target, "a"))
        await asyncio.sleep(0)  # one turn of the loop: it is handed to a writer
        while not left.done() and not await one.ids():
            pass
        left.cancel()
        assert await following() == Hint(target.incarnation, 2)


async def test_the_last_of_many_changes_is_heard(replicas):
    one, other = replicas
    target = await one.create()
    async with hearing(other.store) as following:
        await asyncio.gather(*(one.add(target, str(number)) for number in range(50)))
        while (await following()).revision < 51:
            pass


async def test_after_a_cut_everything_may_have_changed_and_hints_go_on(replicas):
    one, other = replicas
    target = await one.create()
    async with hearing(other.store) as following:
        await written(one.store, CUT)
        assert await following() is None
        await one.add(target, "a")
        assert await following() == Hint(target.incarnation, 2)


async def test_a_server_that_lost_its_own_connections_tells_all_the_same(replicas, postgres):
    one, other = replicas
    target = await one.create()
    await one.add(target, "a")
    async with hearing(other.store) as following:
        with postgres.connect("used_by_all") as connection:
            connection.execute(CUT_EVERYTHING_ELSE)
        await one.add(target, "b")
        while (await following()).revision < 3:
            pass


async def test_words_of_others_on_the_channel_are_no_hints(replicas):
    one, other = replicas
    await one.create()
    async with hearing(other.store) as following:
        await written(one.store, "NOTIFY exemplar, 'hello'")
        assert await following() is None
