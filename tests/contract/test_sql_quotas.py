"""What a tenant stores is counted with each change, and bounded where the settings say so."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.core.limits import Quotas
from exemplar_server.errors import QuotaExceededError
from fakes import DIM, exemplar, retried
from store_calls import Calls

VECTOR_BYTES = 4 * DIM
COUNTED = "SELECT exemplar_count, stored_bytes FROM tenant WHERE name = 'tenant'"
COUNTED_BY_SET = "SELECT sum(exemplar_count), sum(stored_bytes) FROM support_set"


@pytest.fixture
def calls(sql_store):
    return Calls(sql_store)


@pytest.fixture
def bounded(url):
    """Calls of a store that allows its tenants so much."""
    opened = []

    def open_with(**quotas):
        opened.append(SqlStore(url, Quotas(**quotas)))
        return Calls(opened[-1])

    yield open_with
    for store in opened:
        store.close()


async def row(calls, query):
    return tuple(await calls.store.read(lambda c: c.execute(text(query)).one()))


async def test_what_is_added_is_counted_with_its_image(calls):
    await calls.add(await calls.create(), exemplar("a", image=bytes(10)), "b")
    assert await row(calls, COUNTED) == (2, 2 * VECTOR_BYTES + 10)


async def test_an_image_that_is_not_kept_is_not_counted(calls):
    await calls.add(await calls.create(keep_images=False), exemplar("a", image=bytes(10)))
    assert await row(calls, COUNTED) == (1, VECTOR_BYTES)


async def test_what_is_removed_or_deleted_is_counted_no_more(calls):
    kept, ended = await calls.create("kept"), await calls.create("ended")
    await calls.add(kept, exemplar("a", image=bytes(10)), exemplar("b", image=bytes(20)))
    await calls.add(ended, exemplar("a", image=bytes(40)))
    await calls.remove("kept", "b", "missing")
    await calls.delete("ended")
    assert await row(calls, COUNTED) == (1, VECTOR_BYTES + 10)


steps = st.tuples(
    st.sampled_from(["add", "remove", "delete"]),
    st.sampled_from(["one", "two"]),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), min_size=1, max_size=4),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(steps, max_size=10))
async def test_counters_are_what_is_there_after_any_changes(calls, changes):
    for name in ("one", "two"):
        await calls.create(name)
    for change, name, items in changes:
        if change == "add":
            await calls.add(
                await calls.get(name), *(exemplar(i, image=bytes(size)) for i, size in items)
            )
        elif change == "remove":
            await calls.remove(name, *(i for i, _ in items))
        else:
            await calls.delete(name)
            await calls.create(name)
    there, stored = 0, 0
    for name in ("one", "two"):
        target = await calls.get(name)
        ids = await calls.ids(name)
        images = await calls.store.images(target.incarnation, ids)
        there += len(ids)
        stored += len(ids) * VECTOR_BYTES + sum(map(len, images.values()))
    counted = await row(calls, COUNTED), await row(calls, COUNTED_BY_SET)
    for name in ("one", "two"):
        await calls.delete(name)
    assert counted == ((there, stored), (there, stored))


async def test_a_batch_that_does_not_fit_is_refused_whole(bounded):
    calls = bounded(exemplars=3)
    target = await calls.create()
    await calls.add(target, "a", "b")
    with pytest.raises(QuotaExceededError, match=r"up to 3 exemplars .* got 4"):
        await calls.add(target, "c", "d")
    assert await calls.ids() == ["a", "b"]
    assert (await calls.get()).revision == 2


async def test_bytes_are_bounded_with_images(bounded):
    calls = bounded(bytes=2 * VECTOR_BYTES + 5)
    target = await calls.create()
    await calls.add(target, exemplar("a", image=bytes(5)))
    with pytest.raises(QuotaExceededError, match="bytes of embeddings and images"):
        await calls.add(target, exemplar("b", image=bytes(1)))
    assert (await calls.add(target, "b")).exemplar_count == 2


async def test_a_quota_is_over_all_support_sets_of_one_tenant_and_no_other(bounded):
    calls = bounded(exemplars=1)
    await calls.add(await calls.create("one"), "a")
    with pytest.raises(QuotaExceededError):
        await calls.add(await calls.create("two"), "a")
    other = Calls(calls.store, "other")
    assert (await other.add(await other.create(), "a")).exemplar_count == 1


async def test_what_is_removed_makes_room(bounded):
    calls = bounded(exemplars=1)
    target = await calls.create()
    await calls.add(target, "a")
    await calls.remove("set", "a")
    assert (await calls.add(target, "b")).exemplar_count == 1


async def test_items_that_fail_take_no_room(bounded):
    calls = bounded(exemplars=1)
    target = await calls.create()
    assert (await calls.add(target, "a", "a")).exemplar_count == 1


async def test_a_tenant_over_a_lowered_quota_may_remove_and_delete(bounded):
    calls = bounded()
    target = await calls.create()
    await calls.add(target, "a", "b", "c")
    lowered = bounded(exemplars=1)
    assert (await lowered.remove("set", "a")).exemplar_count == 2
    assert (await lowered.delete()).exemplar_count == 2


async def test_a_request_id_of_a_refused_batch_is_free_for_another_try(bounded):
    calls, key = bounded(exemplars=1), retried()
    target = await calls.create()
    with pytest.raises(QuotaExceededError):
        await calls.add(target, "a", "b", key=key)
    assert (await calls.add(target, "a", key=key)).exemplar_count == 1
