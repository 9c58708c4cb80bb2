"""Copies of support sets, and images that are kept no more, on each dialect."""

import pytest
from sqlalchemy import text

from exemplar_server.backends.sql_rows import take_time
from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.core.limits import Quotas
from exemplar_server.errors import (
    AlreadyExistsError,
    NotFoundError,
    QuotaExceededError,
    RevisionMismatchError,
    RevisionNotReachedError,
)
from fakes import DIM, exemplar, retried
from store_calls import Calls

VECTOR_BYTES = 4 * DIM
COUNTED = "SELECT exemplar_count, stored_bytes FROM tenant"


@pytest.fixture
async def calls(sql_store):
    """A support set of two exemplars at revision 2, 10 bytes of image."""
    made = Calls(sql_store)
    await filled(made)
    return made


async def filled(calls):
    first = exemplar("a", "x", image=bytes(10), metadata={"camera": "7"})
    await calls.add(await calls.create(), first, exemplar("b", "y", seed=1))


async def counted(calls):
    return tuple(await calls.store.read(lambda c: c.execute(text(COUNTED)).one()))


# Copies


async def test_a_copy_has_everything_that_is_live(calls):
    await calls.save("good")
    await calls.add(await calls.get(), "gone")
    await calls.remove("set", "gone")
    change = await calls.copy("set", "copy")
    copied = await calls.get("copy")
    assert (change.revision, change.exemplar_count) == (copied.revision, 2)
    assert copied.exemplar_count == 2
    assert await calls.content("copy") == await calls.content("set")
    assert await calls.saved("copy") == []
    assert (await calls.delta("copy")).exemplar_ids == ("a", "b")


async def test_a_copy_and_its_source_go_their_own_ways(calls):
    before = await calls.content()
    await calls.copy("set", "copy")
    await calls.relabel("copy", "z", "a")
    await calls.remove("copy", "b")
    assert await calls.content() == before
    await calls.delete()
    assert list(await calls.content("copy")) == ["a"]


async def test_a_copy_keeps_no_images_where_its_source_keeps_none(calls):
    await calls.keep_images("set", False)
    await calls.copy("set", "copy")
    assert not (await calls.get("copy")).keep_images


async def test_a_copy_begins_above_the_support_sets_that_ended(calls):
    ended = await calls.create("copy")
    await calls.add(ended, "a")
    revision = (await calls.delete("copy")).revision
    assert (await calls.copy("set", "copy")).revision == revision + 1
    (listed, _) = await calls.listed(await calls.get("copy"))
    assert listed.revision == revision + 1


async def test_a_copy_is_of_the_revision_asked_for_or_refused(calls):
    with pytest.raises(RevisionNotReachedError, match="at revision 2, got 3"):
        await calls.copy("set", "copy", min_revision=3)
    with pytest.raises(NotFoundError):
        await calls.get("copy")
    assert (await calls.copy("set", "copy", min_revision=2)).exemplar_count == 2


async def test_a_taken_name_is_refused(calls):
    with pytest.raises(AlreadyExistsError, match="'set' already"):
        await calls.copy("set", "set")


async def test_a_copy_is_counted_and_bounded(url):
    store = SqlStore(url, Quotas(exemplars=5))
    calls = Calls(store)
    await filled(calls)
    await calls.copy("set", "copy")
    assert await counted(calls) == (4, 4 * VECTOR_BYTES + 20)
    with pytest.raises(QuotaExceededError, match="got 6"):
        await calls.copy("set", "third")
    with pytest.raises(NotFoundError):
        await calls.get("third")
    assert await counted(calls) == (4, 4 * VECTOR_BYTES + 20)
    store.close()


async def test_a_retried_copy_is_made_once(calls):
    key = retried("CopySupportSet")
    assert await calls.copy("set", "copy", key=key) == await calls.copy("set", "copy", key=key)
    assert await counted(calls) == (4, 4 * VECTOR_BYTES + 20)


async def test_a_retried_copy_is_not_found_once_the_copy_was_deleted(calls):
    key = retried("CopySupportSet")
    await calls.copy("set", "copy", key=key)
    await calls.delete("copy")
    with pytest.raises(NotFoundError, match="deleted meanwhile"):
        await calls.copy("set", "copy", key=key)
    with pytest.raises(NotFoundError):
        await calls.get("copy")


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_a_change_of_every_row_is_not_bound_to_a_minute_and_others_are(sql_store):
    def bound(connection):
        return connection.execute(text("SHOW statement_timeout")).scalar()

    def unbound(connection):
        take_time(connection)
        return bound(connection)

    changes = [bound, unbound, bound]
    told = [await sql_store.write(change) for change in changes]
    assert told == ["1min", "0", "1min"]


# Images


async def test_images_that_are_kept_no_more_are_deleted_and_counted(calls):
    target = await calls.get()
    change = await calls.keep_images("set", False)
    assert (change.revision, change.receipt.images, change.receipt.image_bytes) == (3, 1, 10)
    assert await calls.store.images(target.incarnation, ["a"]) == {}
    assert await counted(calls) == (2, 2 * VECTOR_BYTES)
    await calls.add(await calls.get(), exemplar("c", image=b"c"))
    assert [e.has_image for e in await calls.listed(target)] == [False, False, False]


async def test_images_that_only_a_snapshot_keeps_are_deleted_too(calls):
    await calls.save("good")
    await calls.remove("set", "a")
    assert (await calls.keep_images("set", False)).receipt.images == 1
    await calls.roll_back("good")
    assert (await calls.content())["a"][3] is None


async def test_images_are_kept_again_from_now_on(calls):
    await calls.keep_images("set", False)
    assert (await calls.keep_images("set", True)).receipt.images == 0
    await calls.add(await calls.get(), exemplar("c", image=b"c"))
    assert (await calls.content())["c"][3] == b"c"


@pytest.mark.parametrize("keep", [True, False])
async def test_what_is_so_already_changes_no_revision(calls, keep):
    revision = (await calls.keep_images("set", keep)).revision
    assert (await calls.keep_images("set", keep)).revision == revision


async def test_a_retry_gets_the_first_answer(calls):
    key = retried("UpdateSupportSet")
    first = await calls.keep_images("set", False, key=key)
    assert await calls.keep_images("set", False, key=key) == first
    assert first.receipt.images == 1


async def test_another_revision_than_the_expected_refuses_the_change(calls):
    with pytest.raises(RevisionMismatchError):
        await calls.keep_images("set", False, expected_revision=1)
    assert (await calls.content())["a"][3] == bytes(10)
