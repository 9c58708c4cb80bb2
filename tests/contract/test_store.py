"""The contract of core.ports.Store, kept by every store and by the fake that other tests use."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from exemplar_server.core.exemplars import Change, ItemResult
from exemplar_server.errors import (
    AlreadyExistsError,
    NotFoundError,
    UndecodableImageError,
)
from fakes import DIM, FINGERPRINT, exemplar
from store_calls import Calls

UNREADABLE = ItemResult.failed(UndecodableImageError("exemplars[0].image: not an image"))


# Support sets


async def test_a_new_support_set_is_empty_and_at_revision_one(calls):
    created = await calls.create()
    assert (created.revision, created.exemplar_count) == (1, 0)
    assert (created.backbone, created.fingerprint, created.dim) == ("tiny", FINGERPRINT, DIM)
    assert await calls.get() == created


async def test_a_support_set_knows_when_it_was_created(calls):
    created = (await calls.create()).created
    assert abs(datetime.now(UTC) - created) < timedelta(minutes=1)


async def test_a_taken_name_is_refused(calls):
    await calls.create()
    with pytest.raises(AlreadyExistsError, match="'set'"):
        await calls.create()


async def test_two_tenants_may_use_one_name(calls, store):
    await calls.create()
    other = Calls(store, "other")
    await calls.add(await calls.get(), "a")
    assert (await other.create()).exemplar_count == 0


async def test_another_tenants_support_set_is_not_found(calls, store):
    await calls.create()
    with pytest.raises(NotFoundError):
        await Calls(store, "other").get()


async def test_pages_go_by_name(calls):
    for name in ("c", "a", "d", "b"):
        await calls.create(name)
    first = await calls.store.page(calls.tenant, "", 3)
    rest = await calls.store.page(calls.tenant, "c", 3)
    assert [[s.name for s in page] for page in (first, rest)] == [["a", "b", "c"], ["d"]]


async def test_a_page_has_the_tenants_own_support_sets_only(calls, store):
    await calls.create()
    assert await Calls(store, "other").store.page("other", "", 3) == []


async def test_label_counts_are_ordered_by_label(calls):
    target = await calls.create()
    await calls.add(target, *(exemplar(i, label) for i, label in zip("abc", "yxy", strict=True)))
    assert list((await calls.label_counts()).items()) == [("x", 1), ("y", 2)]


async def test_a_deleted_support_set_is_gone_with_its_exemplars(calls):
    target = await calls.create()
    await calls.add(target, exemplar("a", image=b"picture"))
    ended = await calls.delete()
    assert (ended.revision, ended.exemplar_count) == (3, 1)
    with pytest.raises(NotFoundError):
        await calls.get()
    assert await calls.store.images(target.incarnation, ["a"]) == {}


async def test_a_name_used_again_is_another_support_set_at_a_higher_revision(calls):
    old = await calls.create()
    await calls.add(old, "a")
    ended = await calls.delete()
    new = await calls.create()
    assert new.incarnation != old.incarnation
    assert (new.revision, new.exemplar_count) == (ended.revision + 1, 0)


async def test_exemplars_are_never_added_to_a_later_support_set_of_the_same_name(calls):
    old = await calls.create()
    await calls.delete()
    await calls.create()
    with pytest.raises(NotFoundError, match="deleted meanwhile"):
        await calls.add(old, "a")


@pytest.mark.parametrize("change", ["delete", "remove", "get", "delta"])
async def test_what_needs_a_support_set_says_when_there_is_none(calls, change):
    arguments = ("missing", "a") if change == "remove" else ("missing",)
    with pytest.raises(NotFoundError, match="'missing'"):
        await getattr(calls, change)(*arguments)


# Exemplars


async def test_added_exemplars_are_answered_in_order_and_counted(calls):
    change = await calls.add(await calls.create(), "b", "a")
    assert change == Change(2, 2, (ItemResult("b"), ItemResult("a")))
    assert (await calls.get()).exemplar_count == 2


async def test_a_change_costs_one_revision_whatever_its_size(calls):
    target = await calls.create()
    await calls.add(target, "a", "b", "c")
    assert (await calls.remove("set", "a", "b")).revision == 3


async def test_an_addition_of_nothing_changes_no_revision(calls):
    change = await calls.add(await calls.create(), UNREADABLE)
    assert change == Change(1, 0, (UNREADABLE,))


async def test_a_failed_item_keeps_its_place_among_the_added(calls):
    change = await calls.add(await calls.create(), "a", UNREADABLE, "b")
    assert change.items == (ItemResult("a"), UNREADABLE, ItemResult("b"))
    assert await calls.ids() == ["a", "b"]


async def test_an_id_that_is_taken_fails_alone(calls):
    target = await calls.create()
    await calls.add(target, "a")
    change = await calls.add(target, "a", "b")
    assert [item.reason for item in change.items] == ["ALREADY_EXISTS", ""]
    assert "'a' is taken" in change.items[0].message
    assert change.exemplar_count == 2


async def test_an_id_twice_in_one_request_is_added_once(calls):
    change = await calls.add(await calls.create(), exemplar("a", "x"), exemplar("a", "y"))
    assert [item.reason for item in change.items] == ["", "ALREADY_EXISTS"]
    assert await calls.label_counts() == {"x": 1}


async def test_all_or_nothing_adds_nothing_where_one_fails(calls):
    target = await calls.create()
    await calls.add(target, "a")
    with pytest.raises(AlreadyExistsError, match="'a' is taken"):
        await calls.add(target, "b", "a", all_or_nothing=True)
    assert await calls.ids() == ["a"]
    assert (await calls.get()).revision == 2


async def test_all_or_nothing_adds_all_where_none_fails(calls):
    await calls.add(await calls.create(), "a", "b", all_or_nothing=True)
    assert await calls.ids() == ["a", "b"]


async def test_removing_reports_missing_ids_one_by_one(calls):
    await calls.add(await calls.create(), "a", "b")
    change = await calls.remove("set", "a", "missing")
    assert [item.reason for item in change.items] == ["", "NOT_FOUND"]
    assert (change.revision, change.exemplar_count) == (3, 1)
    assert await calls.ids() == ["b"]


async def test_removing_only_missing_ids_changes_no_revision(calls):
    await calls.create()
    assert (await calls.remove("set", "missing")).revision == 1


async def test_a_removed_id_can_be_added_again(calls):
    target = await calls.create()
    await calls.add(target, exemplar("a", "old", image=b"old"))
    await calls.remove("set", "a")
    await calls.add(target, exemplar("a", "new"))
    (listed,) = await calls.listed(target)
    assert (listed.label, listed.revision, listed.has_image) == ("new", 4, False)


async def test_exemplars_are_listed_by_id_a_page_at_a_time(calls):
    target = await calls.create()
    await calls.add(target, "c", "a", "b")
    pages = [await calls.listed(target, count=2), await calls.listed(target, after="b", count=2)]
    assert [[e.exemplar_id for e in page] for page in pages] == [["a", "b"], ["c"]]


async def test_a_listing_may_be_of_one_label(calls):
    target = await calls.create()
    await calls.add(target, exemplar("a", "x"), exemplar("b", "y"), exemplar("c", "x"))
    assert [e.exemplar_id for e in await calls.listed(target, label="x")] == ["a", "c"]


async def test_an_exemplar_is_listed_as_it_was_added(calls):
    target = await calls.create()
    added = exemplar("a", "läbel", image=b"picture", metadata={"site": "Zürich"})
    await calls.add(target, added)
    (listed,) = await calls.listed(target, embeddings=True)
    assert (listed.label, listed.metadata, listed.revision) == ("läbel", {"site": "Zürich"}, 2)
    assert listed.has_image
    np.testing.assert_array_equal(listed.embedding_D, added.embedding_D)


async def test_a_listing_has_embeddings_only_where_asked_for(calls):
    target = await calls.create()
    await calls.add(target, exemplar("a", image=b"picture"))
    (listed,) = await calls.listed(target)
    assert (listed.embedding_D, listed.has_image) == (None, True)


async def test_kept_images_are_found_by_id(calls):
    target = await calls.create()
    await calls.add(target, exemplar("a", image=b"picture"), "b")
    assert await calls.store.images(target.incarnation, ["a", "b", "c"]) == {"a": b"picture"}


async def test_images_of_more_ids_than_a_statement_takes_are_found(calls):
    target = await calls.create()
    await calls.add(target, exemplar("a", image=b"picture"))
    ids = [*map(str, range(2500)), "a"]
    assert await calls.store.images(target.incarnation, ids) == {"a": b"picture"}


async def test_a_support_set_may_keep_no_images(calls):
    target = await calls.create(keep_images=False)
    await calls.add(target, exemplar("a", image=b"picture"))
    assert await calls.store.images(target.incarnation, ["a"]) == {}
