"""Tenants that are deleted with everything they have, on each dialect."""

import asyncio

import pytest
from sqlalchemy import text

from exemplar_server.backends import sql_tenant_deletion
from exemplar_server.backends.sql_schema import metadata
from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.core.exemplars import Receipt
from exemplar_server.errors import ExemplarError, NotFoundError
from fakes import exemplar, retried
from store_calls import Calls

PATIENCE_SECONDS = 30
COUNTED = "SELECT exemplar_count FROM tenant WHERE name = 'tenant'"


@pytest.fixture(autouse=True)
def few_rows_at_once(monkeypatch):
    monkeypatch.setattr(sql_tenant_deletion, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(sql_tenant_deletion, "IMAGES_AT_ONCE", 1)


async def filled(calls):
    """Two support sets; one exemplar is in a snapshot only. Four answers are kept."""
    one, two = [await calls.create(name, key=retried("Create")) for name in ("one", "two")]
    new = [exemplar(f"{n}", image=bytes(10) if n < 3 else None) for n in range(5)]
    await calls.add(one, *new, key=retried())
    await calls.save("good", "one")
    await calls.remove("one", "0", key=retried("Remove"))
    await calls.add(two, "a")


@pytest.fixture
async def calls(sql_store):
    made = Calls(sql_store)
    await filled(made)
    return made


async def scalar(store, query):
    return await store.read(lambda c: c.execute(text(query)).scalar())


async def rows(store):
    """How many rows each table has, of those that have some."""
    counts = {name: await scalar(store, f"SELECT count(*) FROM {name}") for name in metadata.tables}  # noqa: S608 - our own names
    return {name: count for name, count in counts.items() if count}


async def hide(calls, key):
    """A deletion that ends right after its first transaction, as when the server is killed."""
    await calls.store.write(lambda c: sql_tenant_deletion.hide(c, calls.tenant, key))


RECEIPT = Receipt(
    support_sets=2, exemplars=5, embeddings=6, images=3, image_bytes=30, snapshots=1, answers=4
)


async def test_a_deleted_tenant_leaves_nothing_and_a_receipt(calls):
    assert await calls.delete_tenant() == RECEIPT
    assert await rows(calls.store) == {"store": 1}


async def test_its_support_sets_are_told_by_name(calls):
    told = []

    async def hidden(name):
        told.append(name)
        assert await calls.store.page(calls.tenant, "", 9) == []

    await calls.delete_tenant(hidden=hidden)
    assert sorted(told) == ["one", "two"]


async def test_a_tenant_that_has_nothing_has_an_empty_receipt(sql_store):
    assert await Calls(sql_store).delete_tenant() == Receipt()


async def test_another_tenant_keeps_everything(calls, sql_store):
    other = Calls(sql_store, "other")
    await filled(other)
    before = await other.content("one"), await other.saved("one"), await other.content("two")
    await calls.delete_tenant()
    after = await other.content("one"), await other.saved("one"), await other.content("two")
    assert after == before
    await other.roll_back("good", "one")
    assert (await other.delete_tenant()).embeddings == 6


async def test_a_retry_gets_the_receipt_again(calls):
    key = retried("DeleteTenant")
    assert await calls.delete_tenant(key=key) == await calls.delete_tenant(key=key) == RECEIPT
    assert await rows(calls.store) == {"store": 1, "answer": 1}  # this one


async def test_from_the_first_transaction_on_nothing_is_seen(calls):
    target, key = await calls.get("one"), retried("RemoveExemplars")
    await calls.remove("one", "1", key=key)
    await hide(calls, retried("DeleteTenant"))
    assert await calls.store.page(calls.tenant, "", 9) == []
    assert await calls.store.revisions([target.incarnation]) == {}
    for asking in (
        calls.get("one"),
        calls.delta("one"),
        calls.saved("one"),
        calls.add(target, "x"),
    ):
        with pytest.raises(NotFoundError):
            await asking
    with pytest.raises(NotFoundError, match="deleted meanwhile"):
        await calls.remove("one", "1", key=key)


@pytest.mark.parametrize("steps", [0, 1, 4, 11])
async def test_a_retry_goes_on_where_the_first_try_stopped(calls, steps):
    key = retried("DeleteTenant")
    await hide(calls, key)
    for _ in range(steps):
        await calls.store.write(sql_tenant_deletion.go_on)
    assert await calls.delete_tenant(key=key) == RECEIPT
    assert await rows(calls.store) == {"store": 1, "answer": 1}


async def test_the_next_server_finishes_what_was_begun(calls, sql_store, url):
    key = retried("DeleteTenant")
    await hide(calls, key)
    sql_store.close()
    again = SqlStore(url)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await scalar(again, "SELECT count(*) FROM deletion"):
            pass
    assert await rows(again) == {"store": 1, "answer": 1}
    assert await Calls(again).delete_tenant(key=key) == RECEIPT
    again.close()


async def test_a_tenant_of_the_name_starts_anew_beside_the_rest_of_the_old_one(calls):
    old, first = await calls.get("one"), retried("DeleteTenant")
    await hide(calls, first)
    new = await calls.create("one", key=retried("CreateSupportSet"))
    await calls.add(new, "kept", key=retried())
    assert new.revision > old.revision
    assert (await calls.delete_tenant(key=first)).support_sets == 2
    assert await calls.ids("one") == ["kept"]
    assert await rows(calls.store) == {
        "store": 1,
        "tenant": 1,
        "support_set": 1,
        "exemplar": 1,
        "embedding": 1,
        "answer": 3,  # of the two changes, and the receipt
    }


async def test_another_tenants_first_support_set_is_above_what_any_deleted_tenant_had(calls):
    old = await calls.get("one")
    await calls.delete_tenant()
    assert (await calls.create("one")).revision > old.revision


async def test_changes_beside_a_deletion_are_made_before_or_after_it_and_counted(calls):
    async def change(number):
        name = f"new-{number % 3}"
        try:
            target = await calls.create(name)
        except ExemplarError:
            target = await calls.get(name)
        await calls.add(target, str(number))
        await calls.copy(name, f"copy-{number}")

    changes = [change(number) for number in range(12)]
    changes.insert(6, calls.delete_tenant())
    outcomes = await asyncio.gather(*changes, return_exceptions=True)
    failed = [o for o in outcomes if isinstance(o, Exception)]
    assert all(isinstance(o, NotFoundError) for o in failed), failed
    names = [s.name for s in await calls.store.page(calls.tenant, "", 99)]
    there = sum([len(await calls.ids(name)) for name in names])
    assert (await scalar(calls.store, COUNTED) or 0) == there
    assert (await rows(calls.store)).get("embedding", 0) == there
