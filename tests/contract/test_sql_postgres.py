"""What the store promises on PostgreSQL: its sessions, and replicas that race."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from sqlalchemy import text

from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.errors import (
    AlreadyExistsError,
    NotFoundError,
    RevisionMismatchError,
    StoreUnavailableError,
)
from fakes import retried
from store_calls import Calls

REPLICAS = 3


@pytest.fixture
def stores(postgres_url):
    """Stores of several servers over one database."""
    opened = [SqlStore(postgres_url) for _ in range(REPLICAS)]
    yield opened
    for store in opened:
        store.close()


@pytest.fixture
def replicas(stores):
    return [Calls(store) for store in stores]


@pytest.fixture
def calls(replicas):
    return replicas[0]


async def written(store, sql):
    return await store.write(lambda c: c.execute(text(sql)).scalar())


async def read(store, sql):
    return await store.read(lambda c: c.execute(text(sql)).scalar())


def administer(postgres, sql):
    with postgres.connect("used_by_all") as connection:
        connection.execute(sql)


async def at_once(calling):
    return await asyncio.gather(*calling, return_exceptions=True)


# Sessions


async def test_writers_see_what_was_committed_last_and_readers_one_moment(stores):
    show = "SHOW transaction_isolation"
    levels = await written(stores[0], show), await read(stores[0], show)
    assert levels == ("read committed", "repeatable read")


async def test_a_reader_cannot_write(stores):
    assert await read(stores[0], "SHOW transaction_read_only") == "on"


async def test_a_commit_is_on_disk_whatever_the_databases_default(postgres, postgres_url):
    administer(postgres, "ALTER DATABASE used_by_all SET synchronous_commit = off")
    store = SqlStore(postgres_url)
    assert await written(store, "SHOW synchronous_commit") == "on"
    store.close()
    administer(postgres, "ALTER DATABASE used_by_all RESET synchronous_commit")


async def test_who_stands_still_loses_its_locks_before_others_give_up_waiting(stores):
    seconds = "SELECT extract(epoch FROM current_setting('{}')::interval)"
    idle = await written(stores[0], seconds.format("idle_in_transaction_session_timeout"))
    waiting = await written(stores[0], seconds.format("lock_timeout"))
    assert 0 < idle < waiting


async def test_the_url_may_say_otherwise(postgres_url):
    store = SqlStore(f"{postgres_url}?application_name=mine&options=-c%20lock_timeout%3D1s")
    assert await written(store, "SHOW lock_timeout") == "1s"
    assert await written(store, "SHOW application_name") == "mine"
    store.close()


async def test_what_callers_are_told_of_an_error_names_nothing_of_the_database(stores):
    with pytest.raises(StoreUnavailableError, match=r"refuses to write: UndefinedTable$"):
        await written(stores[0], "INSERT INTO nowhere VALUES (1)")


async def test_nothing_is_compressed_that_does_not_get_smaller(stores):
    external = "SELECT string_agg(attname, ' ' ORDER BY attname) FROM pg_attribute WHERE {}"
    large = "attstorage = 'e' AND attrelid IN ('embedding'::regclass, 'image'::regclass)"
    assert await read(stores[0], external.format(large)) == "bytes values"


def test_servers_that_start_together_make_one_store(postgres_url):
    with ThreadPoolExecutor(4) as threads:
        stores = list(threads.map(SqlStore, [postgres_url] * 4))
    epochs = {asyncio.run(store.epoch()) for store in stores}
    for store in stores:
        store.close()
    assert len(epochs) == 1


# Races between replicas


async def test_one_request_at_several_replicas_at_once_is_one_change(replicas):
    target = await replicas[0].create()
    for number in range(10):
        key = retried()
        changes = await at_once(calls.add(target, str(number), key=key) for calls in replicas)
        assert [change.revision for change in changes] == [number + 2] * REPLICAS
        assert [change.items[0].exemplar_id for change in changes] == [str(number)] * REPLICAS
    assert (await replicas[0].get()).revision == 11


async def test_one_creation_at_several_replicas_at_once_is_one_support_set(replicas):
    for name in map(str, range(5)):
        key = retried("CreateSupportSet")
        created = await at_once(calls.create(name, key=key) for calls in replicas)
        assert created == [created[0]] * REPLICAS


async def test_one_removal_or_deletion_at_several_replicas_at_once_is_one(replicas):
    for _ in range(5):
        await replicas[0].add(await replicas[0].create(), "a")
        keys = retried("RemoveExemplars"), retried("DeleteSupportSet")
        removed = await at_once(c.remove("set", "a", key=keys[0]) for c in replicas)
        deleted = await at_once(c.delete(key=keys[1]) for c in replicas)
        assert removed == [removed[0]] * REPLICAS
        assert deleted == [deleted[0]] * REPLICAS


async def test_a_name_is_given_once(replicas):
    for name in map(str, range(5)):
        created = await at_once(calls.create(name) for calls in replicas)
        refused = [c for c in created if isinstance(c, AlreadyExistsError)]
        assert len(refused) == REPLICAS - 1


async def test_a_support_set_ends_once(replicas):
    await replicas[0].create()
    ended = await at_once(calls.delete() for calls in replicas)
    assert sum(isinstance(outcome, NotFoundError) for outcome in ended) == REPLICAS - 1


async def test_an_expected_revision_lets_one_change_through(replicas):
    target = await replicas[0].create()
    for revision in range(1, 6):
        changes = await at_once(
            calls.add(target, f"{revision}-{number}", expected_revision=revision)
            for number, calls in enumerate(replicas)
        )
        refused = [c for c in changes if isinstance(c, RevisionMismatchError)]
        assert len(refused) == REPLICAS - 1


async def test_revisions_under_a_name_only_rise(replicas):
    async def begun_and_ended(calls):
        """The revisions of a support set that lived between others of its name."""
        try:
            target = await calls.create()
            added = await calls.add(target, "a")
            return [target.revision, added.revision, (await calls.delete()).revision]
        except (AlreadyExistsError, NotFoundError):
            return []

    lives = []
    for _ in range(8):
        lives += [life for life in await at_once(map(begun_and_ended, replicas)) if life]
    assert len(lives) >= 8
    assert all(ended[-1] < begun[0] for ended, begun in pairwise(sorted(lives)))


async def test_replicas_that_change_many_support_sets_at_once_all_get_through(replicas):
    names = ["one", "two", "three"]
    targets = [await replicas[0].create(name) for name in names]
    changes = await at_once(
        calls.add(target, f"{replica}-{number}", key=retried())
        for number in range(8)
        for replica, calls in enumerate(replicas)
        for target in targets
    )
    assert [change for change in changes if isinstance(change, Exception)] == []
    assert {(await replicas[0].get(name)).revision for name in names} == {1 + 8 * REPLICAS}


async def test_deadlocks_are_tried_again(stores, postgres):
    administer(postgres, "CREATE TABLE number AS SELECT * FROM generate_series(1, 2) n")
    meeting, tries = asyncio.Barrier(2), []
    loop = asyncio.get_running_loop()

    def locking(first, second):
        def run(connection):
            tries.append(first)
            lock = text("SELECT n FROM number WHERE n = :n FOR UPDATE")
            connection.execute(lock, {"n": first})
            if len(tries) <= 2:  # both hold one of the two before either asks for the other
                asyncio.run_coroutine_threadsafe(meeting.wait(), loop).result(30)
            return connection.execute(lock, {"n": second}).scalar()

        return run

    locked = stores[0].write(locking(1, 2)), stores[1].write(locking(2, 1))
    assert await asyncio.gather(*locked) == [2, 1]
    assert len(tries) == 3
