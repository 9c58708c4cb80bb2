"""What the SQL store promises beyond the contract: it survives closing, corruption, a full disk."""

import asyncio
import sqlite3

import numpy as np
import pytest
from sqlalchemy.exc import DBAPIError

from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.errors import (
    ConfigurationError,
    InternalError,
    NotServingError,
    StoreUnavailableError,
)
from fakes import exemplar, retried
from store_calls import Calls

NO_LIMIT = 2**30


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def store(url):
    opened = SqlStore(url)
    yield opened
    opened.close()


async def written(store, sql):
    """The result of a statement on the connection that writes."""
    return await store._write(lambda c: c.exec_driver_sql(sql).scalar())  # noqa: SLF001 - the claim is about it


async def read(store, sql):
    """The result of a statement on a connection that reads."""
    return await store._read(lambda c: c.exec_driver_sql(sql).scalar())  # noqa: SLF001 - as above


async def limit_to(store, more_pages):
    """Makes the disk full after `more_pages` of 16 KiB."""
    pages = await written(store, "PRAGMA page_count")
    await written(store, f"PRAGMA max_page_count = {pages + more_pages}")


async def content(calls):
    """Everything that a caller can read of the support set, comparable."""
    target = await calls.get()
    listed = await calls.listed(target, embeddings=True)
    images = await calls.store.images(target.incarnation, [e.exemplar_id for e in listed])
    return target, images, [(e.exemplar_id, e.label, e.embedding_D.tobytes()) for e in listed]


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("page_size", 16384), ("foreign_keys", 1)],
)
async def test_the_writer_writes_durably(store, pragma, value):
    assert await written(store, f"PRAGMA {pragma}") == value


@pytest.mark.parametrize(("pragma", "value"), [("query_only", 1), ("wal_autocheckpoint", 0)])
async def test_readers_only_read_and_never_checkpoint(store, pragma, value):
    assert await read(store, f"PRAGMA {pragma}") == value


async def test_a_reader_cannot_write(store):
    with pytest.raises(StoreUnavailableError, match="readonly"):
        await read(store, "DELETE FROM exemplar")


async def test_a_reopened_store_has_the_same_content(url, store, calls):
    await calls.add(await calls.create(), exemplar("a", image=b"picture"), exemplar("b", seed=1))
    await calls.remove("set", "b")
    before = await content(calls)
    store.close()
    again = SqlStore(url)
    assert (await content(Calls(again)), again.epoch) == (before, store.epoch)
    again.close()


async def test_a_reopened_store_knows_the_answers_it_gave(url, store, calls):
    key = retried()
    change = await calls.add(await calls.create(), "a", key=key)
    store.close()
    again = SqlStore(url)
    assert await again.replay(calls.tenant, key) == change
    again.close()


async def test_a_second_reader_of_the_file_sees_what_was_acknowledged(tmp_path, calls):
    await calls.add(await calls.create(), "a")
    other = sqlite3.connect(tmp_path / "store.db")
    assert other.execute("SELECT exemplar_id FROM exemplar").fetchall() == [("a",)]
    other.close()


@pytest.mark.parametrize("method", ["delta", "listed"])
async def test_an_embedding_that_does_not_match_its_checksum_is_never_answered(calls, method):
    target = await calls.create()
    await calls.add(target, "a")
    await written(calls.store, 'UPDATE embedding SET "values" = zeroblob(16) RETURNING 1')
    reading = calls.delta() if method == "delta" else calls.listed(target, embeddings=True)
    with pytest.raises(InternalError, match="checksum"):
        await reading


async def test_embeddings_come_back_bit_by_bit(calls):
    added = exemplar("a", seed=5)
    await calls.add(await calls.create(), added)
    np.testing.assert_array_equal((await calls.delta()).embeddings_ND[0], added.embedding_D)


async def test_close_answers_what_was_asked_before(store, calls):
    target = await calls.create()
    adding = [asyncio.ensure_future(calls.add(target, str(n))) for n in range(20)]
    await asyncio.sleep(0)  # one turn of the loop: every call is handed to the writer
    store.close()
    assert [c.exemplar_count for c in await asyncio.gather(*adding)] == list(range(1, 21))


@pytest.mark.parametrize("method", ["create", "get"])
async def test_a_closed_store_says_so(store, calls, method):
    store.close()
    with pytest.raises(NotServingError, match="closed"):
        await getattr(calls, method)("set")


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


@pytest.mark.parametrize(
    "wrong", ["postgresql://host/db", "sqlite://", "no url", "sqlite:////no/x"]
)
def test_a_url_that_cannot_be_used_names_the_setting(wrong):
    with pytest.raises(ConfigurationError, match="EXEMPLAR_STORE_URL: "):
        SqlStore(wrong)


def test_a_file_that_is_no_store_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "store.db"
    path.write_bytes(b"precious text" * 100)
    with pytest.raises(StoreUnavailableError, match="not a database") as caught:
        SqlStore(f"sqlite:///{path}")
    assert isinstance(caught.value.__cause__, DBAPIError)
    assert path.read_bytes() == b"precious text" * 100
