"""Snapshots of support sets and the way back to them, on each dialect."""

import pytest
from sqlalchemy import text

from exemplar_server.core.exemplars import ExemplarUpdate
from exemplar_server.errors import (
    AlreadyExistsError,
    FingerprintMismatchError,
    LimitExceededError,
    NotFoundError,
    RevisionMismatchError,
)
from fakes import DIM, exemplar, retried
from store_calls import Calls

VECTOR_BYTES = 4 * DIM
COUNTED = "SELECT exemplar_count, stored_bytes FROM tenant"
PAST = "SELECT count(*) FROM past_{}"


@pytest.fixture
async def calls(sql_store):
    """A support set of two exemplars at revision 2."""
    made = Calls(sql_store)
    await made.add(
        await made.create(), exemplar("a", "x", image=bytes(10)), exemplar("b", "y", seed=1)
    )
    return made


async def row(calls, query):
    return tuple(await calls.store.read(lambda c: c.execute(text(query)).one()))


async def past(calls):
    """How many rows of what only snapshots show."""
    return [(await row(calls, PAST.format(name)))[0] for name in ("exemplar", "embedding", "image")]


async def test_a_snapshot_is_of_the_revision_of_now_and_changes_nothing(calls):
    before = await calls.content()
    change = await calls.save("good")
    assert (change.revision, change.exemplar_count) == (2, 2)
    (saved,) = await calls.saved()
    assert (saved.name, saved.revision, saved.exemplar_count) == ("good", 2, 2)
    assert (await calls.content(), (await calls.get()).revision) == (before, 2)


async def test_snapshots_are_listed_by_name(calls):
    for name in ("b", "a"):
        await calls.save(name)
    assert [s.name for s in await calls.saved()] == ["a", "b"]


async def test_rolling_back_brings_back_what_was_removed_and_takes_what_came(calls):
    before = await calls.content()
    await calls.save("good")
    await calls.remove("set", "a")
    await calls.add(await calls.get(), "c")
    change = await calls.roll_back("good")
    assert (change.revision, change.exemplar_count) == (5, 2)
    assert await calls.content() == before


async def test_rolling_back_undoes_labels_and_metadata(calls):
    before = await calls.content()
    await calls.save("good")
    await calls.relabel("set", "z", "a", "b")
    await calls.update("set", ExemplarUpdate("a", "w", {"k": "v"}))
    await calls.roll_back("good")
    assert await calls.content() == before
    assert await calls.label_counts() == {"x": 1, "y": 1}


async def test_an_id_that_was_used_again_gets_its_old_content_back(calls):
    before = await calls.content()
    await calls.save("good")
    await calls.remove("set", "a")
    await calls.add(await calls.get(), exemplar("a", "new", seed=9, image=b"new"))
    after = await calls.content()
    await calls.save("newer")
    await calls.roll_back("good")
    assert await calls.content() == before
    await calls.roll_back("newer")
    assert await calls.content() == after


async def test_rolling_back_goes_by_a_revision_that_has_a_snapshot(calls):
    before = await calls.content()
    await calls.save("good")
    await calls.remove("set", "a", "b")
    await calls.roll_back(2)
    assert await calls.content() == before


@pytest.mark.parametrize("to", ["missing", 1])
async def test_there_is_no_way_back_to_what_has_no_snapshot(calls, to):
    await calls.save("good")
    with pytest.raises(NotFoundError, match=r"'missing'|of revision 1"):
        await calls.roll_back(to)
    assert (await calls.get()).revision == 2


async def test_a_delta_over_a_rollback_takes_and_brings_what_differs_only(calls):
    target = await calls.get()
    await calls.save("good")
    await calls.remove("set", "a")
    await calls.add(target, "c")
    await calls.roll_back("good")
    both = await calls.delta("set", target.incarnation, 2)
    assert (both.removed_ids, both.exemplar_ids) == ({"a", "c"}, ("a",))
    last = await calls.delta("set", target.incarnation, 4)
    assert (last.removed_ids, last.exemplar_ids) == ({"c"}, ("a",))


async def test_what_only_snapshots_keep_is_counted_until_the_last_one_goes(calls):
    await calls.save("one")
    await calls.save("two")
    await calls.remove("set", "a")
    await calls.forget("one")
    assert await row(calls, COUNTED) == (2, 2 * VECTOR_BYTES + 10)
    await calls.forget("two")
    assert await row(calls, COUNTED) == (1, VECTOR_BYTES)
    assert await past(calls) == [0, 0, 0]


async def test_what_no_snapshot_shows_is_gone_at_once(calls):
    await calls.save("good")
    await calls.add(await calls.get(), exemplar("c", image=b"c"))
    await calls.remove("set", "c")
    assert await past(calls) == [0, 0, 0]


async def test_many_labels_between_two_snapshots_are_kept_once(calls):
    await calls.save("good")
    for label in "pqr":
        await calls.relabel("set", label, "a")
    assert await past(calls) == [1, 0, 0]


async def test_a_support_set_has_so_many_snapshots_at_most(calls):
    await calls.save("one", most=2)
    await calls.save("two", most=2)
    with pytest.raises(LimitExceededError, match="up to 2 of a support set"):
        await calls.save("three", most=2)
    await calls.forget("one")
    await calls.save("three", most=2)


async def test_a_taken_name_is_refused(calls):
    await calls.save("good")
    with pytest.raises(AlreadyExistsError, match="'good'"):
        await calls.save("good")


async def test_a_snapshot_that_is_not_there_is_not_deleted(calls):
    with pytest.raises(NotFoundError, match="'missing'"):
        await calls.forget("missing")


async def test_a_snapshot_is_of_one_support_set(calls):
    await calls.save("good")
    await calls.create("other")
    with pytest.raises(NotFoundError):
        await calls.roll_back("good", "other")
    assert await calls.saved("other") == []


async def test_a_snapshot_in_another_embedding_space_is_no_way_back(calls):
    await calls.save("good")
    await calls.store.write(
        lambda c: c.execute(text("UPDATE support_set SET fingerprint = 'other'")).rowcount
    )
    with pytest.raises(FingerprintMismatchError, match="'good' is of fingerprint ffff"):
        await calls.roll_back("good")


@pytest.mark.parametrize("method", ["save", "forget", "roll_back"])
async def test_a_retry_changes_nothing_and_gets_the_first_answer(calls, method):
    if method != "save":
        await calls.save("good")
    key = retried(method)
    first = await getattr(calls, method)("good", key=key)
    before = await calls.content(), await calls.saved()
    assert await getattr(calls, method)("good", key=key) == first
    assert (await calls.content(), await calls.saved()) == before


@pytest.mark.parametrize("method", ["save", "roll_back"])
async def test_another_revision_than_the_expected_refuses_the_change(calls, method):
    await calls.save("good")
    with pytest.raises(RevisionMismatchError):
        await getattr(calls, method)("good", expected_revision=1)


async def test_a_deleted_support_set_takes_its_snapshots_along(calls):
    await calls.save("good")
    await calls.remove("set", "a")
    receipt = (await calls.delete()).receipt
    assert (receipt.exemplars, receipt.embeddings, receipt.images) == (1, 2, 1)
    assert (receipt.image_bytes, receipt.snapshots) == (10, 1)
    assert await past(calls) == [0, 0, 0]
    assert await row(calls, COUNTED) == (0, 0)
    await calls.create()
    assert await calls.saved() == []
