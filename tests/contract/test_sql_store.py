"""What the store promises beyond the contract, on each dialect: closing, corruption, its URL."""

import asyncio
import sys

import numpy as np
import pytest

from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.errors import (
    ConfigurationError,
    CorruptSupportSetError,
    NotServingError,
    StoreUnavailableError,
)
from fakes import exemplar, retried
from store_calls import Calls

ZEROED = "UPDATE embedding SET crc32 = 0 RETURNING 1"


@pytest.fixture
def store(sql_store):
    return sql_store


async def written(store, sql):
    """The result of a statement on a connection that writes."""
    return await store.write(lambda c: c.exec_driver_sql(sql).scalar())


async def read(store, sql):
    """The result of a statement on a connection that reads."""
    return await store.read(lambda c: c.exec_driver_sql(sql).scalar())


async def content(calls):
    """Everything that a caller can read of the support set, comparable."""
    target = await calls.get()
    listed = await calls.listed(target, embeddings=True)
    images = await calls.store.images(target.incarnation, [e.exemplar_id for e in listed])
    return target, images, [(e.exemplar_id, e.label, e.embedding_D.tobytes()) for e in listed]


async def test_a_reader_cannot_write(store):
    with pytest.raises(StoreUnavailableError, match=r"(?i)read.?only"):
        await read(store, "DELETE FROM exemplar")


async def test_a_reopened_store_has_the_same_content(url, store, calls):
    await calls.add(await calls.create(), exemplar("a", image=b"picture"), exemplar("b", seed=1))
    await calls.remove("set", "b")
    before = await content(calls), await store.epoch()
    store.close()
    again = SqlStore(url)
    assert (await content(Calls(again)), await again.epoch()) == before
    again.close()


async def test_a_reopened_store_knows_the_answers_it_gave(url, store, calls):
    key = retried()
    change = await calls.add(await calls.create(), "a", key=key)
    store.close()
    again = SqlStore(url)
    assert await again.replay(calls.tenant, key) == change
    again.close()


@pytest.mark.parametrize("method", ["delta", "listed"])
async def test_an_embedding_that_does_not_match_its_checksum_is_never_answered(calls, method):
    target = await calls.create()
    await calls.add(target, "a")
    await written(calls.store, ZEROED)
    reading = calls.delta() if method == "delta" else calls.listed(target, embeddings=True)
    with pytest.raises(CorruptSupportSetError, match="not what was written"):
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
    counts = [change.exemplar_count for change in await asyncio.gather(*adding)]
    assert sorted(counts) == list(range(1, 21))


@pytest.mark.parametrize("method", ["create", "get"])
async def test_a_closed_store_says_so(store, calls, method):
    store.close()
    with pytest.raises(NotServingError, match="closed"):
        await getattr(calls, method)("set")


# Opening


@pytest.mark.parametrize(
    "wrong",
    [
        "postgresql://host/db",
        "mysql://host/db",
        "sqlite://",
        "no url",
        "sqlite:////no/x",
        "postgresql+psycopg://me:secret@host:port/db",
        "postgresql+psycopg//me:secret@host/db",
        "postgresql://me:secret@host/db?password=secret",
    ],
)
def test_a_url_that_cannot_be_used_names_the_setting_and_shows_no_password(wrong):
    with pytest.raises(ConfigurationError, match="EXEMPLAR_STORE_URL: ") as caught:
        SqlStore(wrong)
    assert "secret" not in f"{caught.value}{caught.value.__cause__}"


def test_a_database_that_is_not_there_is_named_without_the_password():
    with pytest.raises(StoreUnavailableError, match=r"127\.0\.0\.1:1/none: cannot open") as caught:
        SqlStore("postgresql+psycopg://me:secret@127.0.0.1:1/none?passfile=secret")
    assert "secret" not in f"{caught.value}{caught.value.__cause__}"


def test_a_missing_driver_is_named_with_what_installs_it(monkeypatch):
    for module in ("sql_postgres", "sql_psycopg"):
        monkeypatch.delitem(sys.modules, f"exemplar_server.backends.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match=r"install exemplar\[server,postgres\]"):
        SqlStore("postgresql+psycopg://me:secret@127.0.0.1:1/none")
