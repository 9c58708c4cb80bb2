"""A store of any older schema is upgraded with what is in it, on each dialect."""

import uuid
import zlib

import numpy as np
import pytest
import sqlalchemy as sa

from exemplar_server.backends.sql_migrations import migrate
from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.core.exemplars import Change
from fakes import DIM, FINGERPRINT, TENANT, retried, unit_rows
from store_calls import Calls

VECTOR = unit_rows(np.random.default_rng(0), 1)[0]
# What each of two tenants has: (support set, exemplar ids, bytes of each one's image).
CONTENT = {TENANT: [("one", ["a", "b"], 10), ("two", ["a"], 0), ("none", [], 0)], "other": []}


def fill(connection):
    """Rows as the server of schema 0001 wrote them."""
    tables = sa.MetaData()
    tables.reflect(connection)
    for tenant, support_sets in CONTENT.items():
        owner = insert(connection, tables, "tenant", name=tenant, last_revision=0)
        for name, ids, image_bytes in support_sets:
            incarnation = insert_support_set(connection, tables, owner, name, len(ids))
            for exemplar_id in ids:
                insert_exemplar(connection, tables, incarnation, exemplar_id, image_bytes)


def insert(connection, tables, table, **values):
    """Returns the new row's incarnation."""
    row = {"incarnation": str(uuid.uuid4())} | values
    connection.execute(tables.tables[table].insert().values(row))
    return row["incarnation"]


def insert_support_set(connection, tables, owner, name, count):
    return insert(
        connection,
        tables,
        "support_set",
        tenant=owner,
        name=name,
        revision=2,
        fingerprint=FINGERPRINT,
        backbone="tiny",
        dim=DIM,
        exemplar_count=count,
        keep_images=True,
        created=sa.func.now(),
    )


def insert_exemplar(connection, tables, incarnation, exemplar_id, image_bytes):
    key = {"incarnation": incarnation, "exemplar_id": exemplar_id}
    values = VECTOR.astype("<f4").tobytes()
    insert(connection, tables, "exemplar", **key, label="x", metadata={}, revision=2)
    insert(
        connection,
        tables,
        "embedding",
        **key,
        fingerprint=FINGERPRINT,
        values=values,
        crc32=zlib.crc32(values),
    )
    if image_bytes:
        insert(connection, tables, "image", **key, bytes=bytes(image_bytes))


@pytest.fixture(params=["0001", "0002", "0003"])
def engine(request, url):
    """A store as schema 0001 has it, with rows; upgraded to `request.param` after that."""
    opened = sa.create_engine(url)
    for step in (lambda c: migrate(c, "0001"), fill, lambda c: migrate(c, request.param)):
        with opened.begin() as connection:
            step(connection)
    yield opened
    opened.dispose()


async def test_an_upgraded_store_has_its_content(engine, url):
    store = SqlStore(url)
    calls = Calls(store)
    delta = await calls.delta("one")
    assert (delta.exemplar_ids, delta.labels) == (("a", "b"), ("x", "x"))
    np.testing.assert_array_equal(delta.embeddings_ND[0], VECTOR)
    images = await store.images(delta.support_set.incarnation, ["a", "b"])
    assert images == {"a": bytes(10), "b": bytes(10)}
    store.close()


def test_an_upgraded_store_knows_what_each_support_set_and_tenant_stores(engine, url):
    SqlStore(url).close()
    sets = "SELECT name, stored_bytes FROM support_set"
    tenants = "SELECT name, exemplar_count, stored_bytes FROM tenant"
    with engine.connect() as connection:
        assert dict(tuple(row) for row in connection.execute(sa.text(sets))) == {
            "one": 2 * (4 * DIM + 10),
            "two": 4 * DIM,
            "none": 0,
        }
        assert {tuple(row) for row in connection.execute(sa.text(tenants))} == {
            (TENANT, 3, 3 * 4 * DIM + 20),
            ("other", 0, 0),
        }


def test_an_upgraded_store_knows_when_contents_came(engine, url):
    SqlStore(url).close()
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT revision, content_revision FROM exemplar")).all()
    assert {tuple(row) for row in rows} == {(2, 2)}


async def test_an_upgraded_store_knows_the_answers_it_gave(engine, url):
    key, change = retried(), {"revision": 2, "exemplar_count": 1, "items": []}
    with engine.begin() as connection:
        tables = sa.MetaData()
        tables.reflect(connection)
        row = vars(key) | {"tenant": TENANT, "answer": change, "created": sa.func.now()}
        connection.execute(tables.tables["answer"].insert().values(row))
    store = SqlStore(url)
    assert await store.replay(TENANT, key) == Change(2, 1)
    store.close()


async def test_an_upgraded_store_is_written_to_as_any_other(engine, url):
    store = SqlStore(url)
    calls = Calls(store)
    assert (await calls.add(await calls.get("one"), "c")).revision == 3
    assert (await calls.delete("one")).exemplar_count == 3
    store.close()
