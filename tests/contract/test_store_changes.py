"""The contract of core.ports.Store, second half: revisions, retries and deltas."""

import asyncio

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exemplar_server.core.exemplars import ItemResult, RequestKey
from exemplar_server.errors import (
    RequestIdReusedError,
    RevisionMismatchError,
    UndecodableImageError,
)
from fakes import DIM, exemplar, retried

UNREADABLE = ItemResult.failed(UndecodableImageError("exemplars[0].image: not an image"))


# Revisions and retries


async def test_the_expected_revision_lets_a_change_through(calls):
    target = await calls.create()
    assert (await calls.add(target, "a", expected_revision=1)).revision == 2
    assert (await calls.remove("set", "a", expected_revision=2)).revision == 3
    assert (await calls.delete(expected_revision=3)).revision == 4


@pytest.mark.parametrize("change", ["add", "remove", "delete"])
async def test_another_revision_than_the_expected_refuses_the_change(calls, change):
    target = await calls.create()
    await calls.add(target, "a")
    arguments = {"add": (target, "b"), "remove": ("set", "a"), "delete": ("set",)}[change]
    with pytest.raises(RevisionMismatchError, match="expected_revision"):
        await getattr(calls, change)(*arguments, expected_revision=1)
    assert await calls.ids() == ["a"]


async def test_a_retry_changes_nothing_and_gets_the_first_answer(calls):
    target, key = await calls.create(), retried()
    first = await calls.add(target, "a", UNREADABLE, key=key)
    await calls.add(target, "b")
    assert await calls.add(target, "a", UNREADABLE, key=key) == first
    assert await calls.ids() == ["a", "b"]


async def test_a_retry_comes_before_the_expected_revision(calls):
    target, key = await calls.create(), retried()
    first = await calls.add(target, "a", expected_revision=1, key=key)
    assert await calls.add(target, "a", expected_revision=1, key=key) == first


async def test_a_retried_creation_gets_the_support_set(calls):
    key = retried("CreateSupportSet")
    assert await calls.create(key=key) == await calls.create(key=key)


async def test_a_retried_deletion_is_answered_although_it_is_gone(calls):
    await calls.create()
    key = retried("DeleteSupportSet")
    assert await calls.delete(key=key) == await calls.delete(key=key)


async def test_a_retried_removal_is_answered_as_before(calls):
    await calls.add(await calls.create(), "a")
    key = retried("RemoveExemplars")
    assert await calls.remove("set", "a", key=key) == await calls.remove("set", "a", key=key)


async def test_a_request_id_of_another_request_is_refused(calls):
    target, key = await calls.create(), retried()
    await calls.add(target, "a", key=key)
    with pytest.raises(RequestIdReusedError, match=key.request_id):
        await calls.add(target, "b", key=RequestKey(key.method, key.request_id, b"other"))
    assert await calls.ids() == ["a"]


async def test_a_refused_request_id_is_free_for_another_try(calls):
    target, key = await calls.create(), retried()
    with pytest.raises(RevisionMismatchError):
        await calls.add(target, "a", expected_revision=9, key=key)
    assert (await calls.add(target, "a", key=key)).revision == 2


async def test_replay_knows_answers_by_request_id(calls):
    target, key = await calls.create(), retried()
    before = await calls.store.replay(calls.tenant, key)
    change = await calls.add(target, "a", key=key)
    assert (before, await calls.store.replay(calls.tenant, key)) == (None, change)


async def test_request_ids_are_the_tenants_own(calls, store):
    target, key = await calls.create(), retried()
    await calls.add(target, "a", key=key)
    assert await store.replay("other", key) is None


async def test_calls_without_request_id_are_never_retries(calls):
    target = await calls.create()
    await calls.add(target, "a")
    assert (await calls.add(target, "b")).exemplar_count == 2


async def test_concurrent_changes_get_consecutive_revisions(calls):
    target = await calls.create()
    changes = await asyncio.gather(*(calls.add(target, str(n)) for n in range(150)))
    assert sorted(change.revision for change in changes) == list(range(2, 152))
    assert (await calls.get()).exemplar_count == 150


async def test_a_failing_change_costs_its_neighbors_nothing(calls):
    target = await calls.create()
    adding = [calls.add(target, str(n), expected_revision=99 * (n % 2) or None) for n in range(40)]
    outcomes = await asyncio.gather(*adding, return_exceptions=True)
    refused = [n for n, o in enumerate(outcomes) if isinstance(o, RevisionMismatchError)]
    assert refused == list(range(1, 40, 2))
    assert sorted(map(int, await calls.ids())) == list(range(0, 40, 2))


# Deltas


async def test_a_delta_of_another_incarnation_is_everything(calls):
    await calls.add(await calls.create(), "b", "a")
    delta = await calls.delta("set", "another", 2)
    assert (delta.exemplar_ids, delta.removed_ids) == (("a", "b"), frozenset())


async def test_a_delta_of_the_current_revision_is_empty(calls):
    target = await calls.create()
    await calls.add(target, "a")
    delta = await calls.delta("set", target.incarnation, 2)
    assert (delta.exemplar_ids, delta.removed_ids) == ((), frozenset())
    assert (delta.embeddings_ND.shape, delta.embeddings_ND.dtype) == ((0, DIM), np.float32)


async def test_a_delta_carries_the_support_set_as_it_is(calls):
    await calls.add(await calls.create(), "a")
    assert (await calls.delta()).support_set == await calls.get()


additions = st.tuples(st.just("add"), st.lists(st.integers(0, 9), min_size=1, max_size=4))
removals = st.tuples(st.just("remove"), st.lists(st.integers(0, 9), min_size=1, max_size=4))


async def replayed(calls, name, changes):
    """Makes the changes; returns the content (id -> label) at each revision, and the truth."""
    target, past, live = await calls.create(name), {1: {}}, {}
    for number, (method, numbers) in enumerate(changes):
        ids = [str(n) for n in numbers]
        if method == "add":
            change = await calls.add(target, *(exemplar(i, f"label {number}") for i in ids))
            live |= {i.exemplar_id: f"label {number}" for i in change.items if not i.reason}
        else:
            change = await calls.remove(name, *ids)
            live = {i: label for i, label in live.items() if i not in ids}
        past[change.revision] = dict(live)
    return target, past, live


def after(content, delta):
    """The content after the delta: first the removed go, then rows come."""
    kept = {i: label for i, label in content.items() if i not in delta.removed_ids}
    assert not kept.keys() & set(delta.exemplar_ids), "a row comes that is there already"
    return kept | dict(zip(delta.exemplar_ids, delta.labels, strict=True))


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=st.lists(additions | removals, max_size=12))
def test_a_delta_from_any_revision_leads_to_the_present(calls, changes):
    async def contents():
        name = f"set-{len(await calls.store.page(calls.tenant, '', 1000))}"
        target, past, live = await replayed(calls, name, changes)
        deltas = [await calls.delta(name, target.incarnation, revision) for revision in past]
        presents = [after(c, delta) for c, delta in zip(past.values(), deltas, strict=True)]
        return [*presents, after({}, await calls.delta(name))], live

    presents, live = asyncio.run(contents())
    assert presents == [live] * len(presents)
