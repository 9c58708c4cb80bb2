"""Exemplars that get another label or other metadata, on each dialect."""

import numpy as np
import pytest

from exemplar_server.core.exemplars import ExemplarUpdate, ItemResult
from exemplar_server.errors import InvalidInputError, RevisionMismatchError
from fakes import exemplar, retried
from store_calls import Calls

WRONG = ItemResult.failed(InvalidInputError("updates[0].label: expected 1..128 characters, got 0"))


@pytest.fixture
async def calls(sql_store):
    """A support set of two exemplars at revision 2."""
    made = Calls(sql_store)
    old = {"camera": "7"}
    await made.add(await made.create(), exemplar("a", "x", image=b"a", metadata=old), exemplar("b"))
    return made


async def facts(calls):
    return {e.exemplar_id: (e.label, e.metadata) for e in await calls.listed(await calls.get())}


async def test_a_label_is_changed_and_the_rest_stays(calls):
    (before, _) = await calls.listed(await calls.get(), embeddings=True)
    change = await calls.relabel("set", "y", "a")
    (after, _) = await calls.listed(await calls.get(), embeddings=True)
    assert (change.revision, change.exemplar_count, change.items) == (3, 2, (ItemResult("a"),))
    assert (after.label, after.metadata, after.revision) == ("y", {"camera": "7"}, 3)
    np.testing.assert_array_equal(after.embedding_D, before.embedding_D)
    assert after.has_image


async def test_metadata_are_replaced_whole_or_cleared(calls):
    await calls.update("set", ExemplarUpdate("a", None, {"line": "\u00fc"}))
    assert (await facts(calls))["a"] == ("x", {"line": "\u00fc"})
    await calls.update("set", ExemplarUpdate("a", None, {}))
    assert (await facts(calls))["a"] == ("x", {})


async def test_labels_are_counted_anew(calls):
    await calls.relabel("set", "y", "a")
    assert await calls.label_counts() == {"a": 1, "y": 1}


async def test_what_cannot_be_changed_fails_alone_in_its_place(calls):
    change = await calls.update(
        "set",
        WRONG,
        ExemplarUpdate("missing", "y", None),
        ExemplarUpdate("a", "y", None),
        ExemplarUpdate("a", "z", None),
    )
    reasons = [item.reason for item in change.items]
    assert reasons == ["INVALID_INPUT", "NOT_FOUND", "", "INVALID_INPUT"]
    assert (await facts(calls))["a"][0] == "y"
    assert "updates[3].exemplar_id" in change.items[3].message


async def test_what_is_so_already_changes_no_revision(calls):
    change = await calls.update("set", ExemplarUpdate("a", "x", {"camera": "7"}))
    assert (change.revision, change.items) == (2, (ItemResult("a"),))


async def test_a_delta_brings_a_relabelled_exemplar_again(calls):
    target = await calls.get()
    await calls.relabel("set", "y", "a")
    delta = await calls.delta("set", target.incarnation, 2)
    assert (delta.removed_ids, delta.exemplar_ids, delta.labels) == ({"a"}, ("a",), ("y",))


async def test_a_delta_from_before_an_exemplar_came_has_it_once_with_its_last_label(calls):
    target = await calls.get()
    await calls.relabel("set", "y", "a", "b")
    delta = await calls.delta("set", target.incarnation, 1)
    assert sorted(zip(delta.exemplar_ids, delta.labels, strict=True)) == [("a", "y"), ("b", "y")]


async def test_a_retry_gets_the_first_answer(calls):
    key = retried("UpdateExemplars")
    first = await calls.relabel("set", "y", "a", key=key)
    await calls.relabel("set", "z", "a")
    assert await calls.relabel("set", "y", "a", key=key) == first
    assert (await facts(calls))["a"][0] == "z"


async def test_another_revision_than_the_expected_refuses_the_change(calls):
    with pytest.raises(RevisionMismatchError):
        await calls.relabel("set", "y", "a", expected_revision=1)
    assert (await facts(calls))["a"][0] == "x"
