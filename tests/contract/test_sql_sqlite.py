"""What the store keeps in SQLite alone: its pragmas, its one file, and a full disk."""

import asyncio
import sqlite3

import pytest
from sqlalchemy.exc import DBAPIError

from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.errors import StoreUnavailableError
from fakes import exemplar, retried

NO_LIMIT = 2**30
PATIENCE_SECONDS = 30


@pytest.fixture
def store(tmp_path):
    opened = SqlStore(f"sqlite:///{tmp_path}/store.db")
    yield opened
    opened.close()


async def written(store, sql):
    """The result of a statement on the connection that writes."""
    return await store.write(lambda c: c.exec_driver_sql(sql).scalar())


async def read(store, sql):
    """The result of a statement on a connection that reads."""
    return await store.read(lambda c: c.exec_driver_sql(sql).scalar())


async def limit_to(store, more_pages):
    """Makes the disk full after `more_pages` of 16 KiB."""
    pages = await written(store, "PRAGMA page_count")
    await written(store, f"PRAGMA max_page_count = {pages + more_pages}")


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("page_size", 16384),
        ("foreign_keys", 1),
        ("secure_delete", 1),
    ],
)
async def test_the_writer_writes_durably(store, pragma, value):
    assert await written(store, f"PRAGMA {pragma}") == value


@pytest.mark.parametrize(("pragma", "value"), [("query_only", 1), ("wal_autocheckpoint", 0)])
async def test_readers_only_read_and_never_checkpoint(store, pragma, value):
    assert await read(store, f"PRAGMA {pragma}") == value


async def test_a_second_reader_of_the_file_sees_what_was_acknowledged(tmp_path, calls):
    await calls.add(await calls.create(), "a")
    other = sqlite3.connect(tmp_path / "store.db")
    assert other.execute("SELECT exemplar_id FROM exemplar").fetchall() == [("a",)]
    other.close()


async def test_a_closed_store_leaves_one_file(tmp_path, store, calls):
    await calls.add(await calls.create(), "a")
    store.close()
    assert [path.name for path in tmp_path.iterdir()] == ["store.db"]


# A full disk


async def test_a_full_disk_refuses_writes(calls):
    target = await calls.create()
    await limit_to(calls.store, 4)
    with pytest.raises(StoreUnavailableError, match="disk is full"):
        await calls.add(target, exemplar("big", image=bytes(2**20)))
    assert (await calls.get()).revision == 1


async def test_a_full_disk_loses_nothing_that_was_acknowledged_and_lets_reads_go_on(calls):
    target = await calls.create()
    await limit_to(calls.store, 12)
    adding = [calls.add(target, exemplar(str(n), image=bytes(30_000))) for n in range(20)]
    outcomes = await asyncio.gather(*adding, return_exceptions=True)
    acknowledged = {o.items[0].exemplar_id for o in outcomes if not isinstance(o, Exception)}
    assert 0 < len(acknowledged) < 20
    assert set(await calls.ids()) == acknowledged


async def test_writes_go_on_when_there_is_room_again(calls):
    target = await calls.create()
    await limit_to(calls.store, 0)
    too_big = exemplar("a", image=bytes(2**20))
    refused = await asyncio.gather(calls.add(target, too_big), return_exceptions=True)
    await written(calls.store, f"PRAGMA max_page_count = {NO_LIMIT}")
    assert isinstance(refused[0], StoreUnavailableError)
    assert (await calls.add(target, too_big)).revision == 2


async def test_a_request_too_big_for_the_disk_costs_its_neighbors_nothing(calls):
    target = await calls.create()
    await limit_to(calls.store, 6)
    adding = [exemplar("big", image=bytes(2**20)), *map(str, range(5))]
    outcomes = await asyncio.gather(*(calls.add(target, e) for e in adding), return_exceptions=True)
    assert isinstance(outcomes[0], StoreUnavailableError)
    assert sorted(await calls.ids()) == ["0", "1", "2", "3", "4"]


# Opening


def test_a_file_that_is_no_store_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "store.db"
    path.write_bytes(b"precious text" * 100)
    with pytest.raises(StoreUnavailableError, match="not a database") as caught:
        SqlStore(f"sqlite:///{path}")
    assert isinstance(caught.value.__cause__, DBAPIError)
    assert path.read_bytes() == b"precious text" * 100


# What is deleted is gone from the file

CANARIES = [b"label-canary", b"metadata-canary", b"id-canary", b"image-canary"]


def found(tmp_path):
    """The canaries in the store's files; an image's is on pages of its own."""
    stored = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("store.db*")))
    return [canary for canary in CANARIES if canary in stored]


@pytest.mark.parametrize("way", ["delete", "delete_tenant", "remove", "remove and forget"])
async def test_no_byte_of_what_was_deleted_is_left_in_the_file(tmp_path, store, calls, way):
    image = b"image-canary" * 5000
    canary = exemplar("id-canary", "label-canary", image=image, metadata={"k": "metadata-canary"})
    key = retried()
    await calls.add(await calls.create(), canary, exemplar("other"), key=key)
    if way == "remove and forget":
        await calls.save("good")
    if way.startswith("remove"):
        await calls.relabel("set", "another", "id-canary")
        await calls.remove("set", "id-canary")
    if way == "remove and forget":
        await calls.forget("good")
    if way.startswith("delete"):
        assert found(tmp_path) == CANARIES
        await getattr(calls, way)()
    store.close()  # folds the write-ahead log into the file
    # Tombstones and answers have ids until their support set ends: caches and retries need them.
    assert found(tmp_path) == ([b"id-canary"] if way.startswith("remove") else [])


@pytest.mark.parametrize("way", ["delete", "delete_tenant"])
async def test_the_log_of_a_store_that_goes_on_is_emptied_soon(tmp_path, calls, way):
    canary = exemplar("id-canary", "label-canary", image=b"image-canary" * 5000)
    await calls.add(await calls.create(), canary)
    await getattr(calls, way)()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while found(tmp_path):
            await calls.store.epoch()


async def test_a_reader_in_the_way_of_emptying_the_log_holds_up_no_writer(tmp_path, calls):
    await calls.add(await calls.create(), exemplar("id-canary"))
    with calls.store._database.read_engine.begin() as reading:  # noqa: SLF001 - no call reads so long
        assert reading.exec_driver_sql("SELECT count(*) FROM exemplar").scalar() == 1
        await calls.delete()
        async with asyncio.timeout(PATIENCE_SECONDS / 10):
            await calls.create("other")
        assert found(tmp_path) == [b"id-canary"]
    async with asyncio.timeout(PATIENCE_SECONDS):
        while found(tmp_path):
            await calls.get("other")
            await written(calls.store, "SELECT 1")
