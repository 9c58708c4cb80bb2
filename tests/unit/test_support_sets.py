"""The service: what is added is found at once, and what cannot work is refused in its place."""

import asyncio
from dataclasses import replace

import pytest

from exemplar_server.core.embedder import Backbone
from exemplar_server.core.exemplars import Listing
from exemplar_server.errors import (
    EmptySupportSetError,
    FingerprintMismatchError,
    InvalidInputError,
    NotFoundError,
    RevisionNotReachedError,
    UndecodableImageError,
)
from fakes import (
    BAD_IMAGE,
    DIM,
    FINGERPRINT,
    TENANT,
    FakeEmbedder,
    FakeManifest,
    FakeStore,
    retried,
)
from service_calls import Service, image_of, labelled, vector_of


@pytest.fixture
def service():
    return Service()


def other_backbone():
    return FakeEmbedder(Backbone(FakeManifest("other", "0" * 64), "none"))


def best(answers):
    return [answer.scores[0].label for answer in answers]


async def test_an_added_exemplar_is_found_by_the_next_query(service):
    await service.create()
    await service.add(labelled("x", image_of(0)), labelled("y", image_of(1)))
    assert best(await service.classify(image_of(1), image_of(0), k=1)) == ["y", "x"]


async def test_a_removed_exemplar_is_not_found_any_more(service):
    await service.create()
    await service.add(labelled("x", image_of(0), "a"), labelled("y", image_of(1), "b"))
    await service.remove("a")
    assert best(await service.classify(image_of(0), k=1)) == ["y"]


async def test_embeddings_and_images_are_answered_side_by_side_in_order(service):
    await service.create()
    await service.add(labelled("x", vector_of(0)), labelled("y", image_of(1)))
    answers = await service.classify(vector_of(1), image_of(0), vector_of(0), k=1)
    assert best(answers) == ["y", "x", "x"]


async def test_ready_made_embeddings_do_not_go_to_the_model(service):
    await service.create()
    await service.add(labelled("x", vector_of(0)))
    assert service.embedder.seen == []


async def test_an_exemplar_without_id_gets_a_new_one(service):
    await service.create()
    added = await service.add(labelled("x", vector_of(0)), labelled("x", vector_of(1)))
    first, second = (item.exemplar_id for item in added.change.items)
    assert first != second
    assert len(first) == len(second) == 36


async def test_an_exemplar_that_cannot_be_used_is_named_and_left_out(service):
    await service.create()
    added = await service.add(labelled("x", vector_of(0), "a"), labelled("y", BAD_IMAGE, "b"))
    assert [item.reason for item in added.change.items] == ["", "UNDECODABLE_IMAGE"]
    assert added.change.items[1].message.startswith("exemplars[1].image: ")
    assert added.change.exemplar_count == 1


async def test_all_or_nothing_refuses_the_request_with_the_first_failure(service):
    await service.create()
    with pytest.raises(UndecodableImageError, match=r"exemplars\[1\]\.image"):
        await service.add(
            labelled("x", vector_of(0)), labelled("y", BAD_IMAGE), all_or_nothing=True
        )
    assert (await service.store.get(TENANT, "set")).revision == 1


async def test_an_item_that_was_wrong_already_keeps_its_error(service):
    await service.create()
    added = await service.add(labelled("", InvalidInputError("exemplars[0].label: expected 1..")))
    assert added.change.items[0].message == "exemplars[0].label: expected 1.."


async def test_a_retried_addition_does_not_embed_again(service):
    await service.create()
    key = retried()
    first = await service.add(labelled("x", image_of(0)), key=key)
    again = await service.add(labelled("x", image_of(0)), key=key)
    assert again.change == first.change
    assert len(service.embedder.seen) == 1


async def test_a_query_that_fails_costs_only_itself(service):
    await service.create()
    await service.add(labelled("x", image_of(0)))
    good, bad, foreign = await service.classify(
        image_of(0), BAD_IMAGE, vector_of(0, fingerprint="0" * 64)
    )
    assert best([good]) == ["x"]
    assert isinstance(bad, UndecodableImageError)
    assert str(bad).startswith("queries[1].image: ")
    assert isinstance(foreign, FingerprintMismatchError)
    assert str(foreign).startswith("queries[2].embedding: fingerprint: ")


async def test_queries_that_all_fail_are_answered_with_their_errors(service):
    await service.create()
    await service.add(labelled("x", image_of(0)))
    answers = await service.classify(BAD_IMAGE, BAD_IMAGE)
    assert [type(answer) for answer in answers] == [UndecodableImageError] * 2


async def test_an_empty_support_set_says_that_it_is_empty(service):
    await service.create()
    with pytest.raises(EmptySupportSetError, match="'set' has no exemplars yet"):
        await service.classify(image_of(0))


async def test_a_support_set_is_empty_again_when_its_last_exemplar_is_removed(service):
    await service.create()
    await service.add(labelled("x", image_of(0), "a"))
    await service.remove("a")
    with pytest.raises(EmptySupportSetError):
        await service.classify(image_of(0))


async def test_a_deleted_support_set_is_not_found_by_queries(service):
    await service.create()
    await service.add(labelled("x", image_of(0)))
    await service.delete()
    with pytest.raises(NotFoundError):
        await service.classify(image_of(0))


async def test_by_the_revision_of_a_deletion_no_server_shows_what_was_deleted(service):
    other = Service(store=service.store)
    await service.create()
    await service.add(labelled("x", image_of(0)))
    await other.classify(image_of(0))
    deleted = await service.delete()
    with pytest.raises(NotFoundError):
        await other.classify(image_of(0), min_revision=deleted.revision)


async def test_a_server_that_made_a_support_set_shows_no_earlier_one_of_its_name(service):
    other = Service(store=service.store)
    await service.create()
    await service.add(labelled("x", image_of(0)))
    await other.classify(image_of(0))
    await service.delete()
    await other.create()
    with pytest.raises(EmptySupportSetError):
        await other.classify(image_of(0))


async def test_a_name_used_again_answers_from_its_new_exemplars_only(service):
    await service.create()
    await service.add(labelled("old", image_of(0)))
    await service.delete()
    await service.create()
    await service.add(labelled("new", image_of(1)))
    (answer,) = await service.classify(image_of(0))
    assert [score.label for score in answer.scores] == ["new"]


async def test_a_revision_ahead_of_the_store_is_refused(service):
    await service.create()
    await service.add(labelled("x", image_of(0)))
    with pytest.raises(RevisionNotReachedError, match="revision 2, got 3"):
        await service.classify(image_of(0), min_revision=3)


async def test_min_revision_sees_what_another_server_added(service):
    await service.create()
    await service.add(labelled("x", image_of(0)))
    other = Service(store=service.store)
    assert best(await service.classify(image_of(1), k=1)) == ["x"]
    await other.add(labelled("y", image_of(1)))
    assert best(await service.classify(image_of(1), k=1)) == ["x"]
    assert best(await service.classify(image_of(1), k=1, min_revision=3)) == ["y"]


async def test_a_support_set_of_a_backbone_that_does_not_run_here_is_refused(service):
    await service.create()
    await service.add(labelled("x", image_of(0)))
    upgraded = Service(other_backbone(), service.store)
    with pytest.raises(FingerprintMismatchError, match="this server runs other"):
        await upgraded.classify(image_of(0))
    with pytest.raises(FingerprintMismatchError, match="made with backbone tiny"):
        await upgraded.add(labelled("x", image_of(0)))


async def test_a_support_set_is_of_the_backbone_that_was_asked_for(service):
    created = await service.create(backbone="tiny")
    assert (created.backbone, created.fingerprint, created.dim) == ("tiny", FINGERPRINT, DIM)


async def test_an_unknown_backbone_is_refused_with_those_that_run(service):
    with pytest.raises(NotFoundError, match="backbone: expected one of tiny@1, got 'huge'"):
        await service.create(backbone="huge")


async def test_pages_of_support_sets_end_with_an_empty_token(service):
    for name in "abc":
        await service.create(name)
    first = await service.sets.page(TENANT, "", 2)
    second = await service.sets.page(TENANT, first.next_token, 2)
    assert ([s.name for s in first.items], first.next_token) == (["a", "b"], "b")
    assert ([s.name for s in second.items], second.next_token) == (["c"], "")


async def test_a_page_that_ends_with_the_last_item_is_the_last_page(service):
    await service.create("a")
    assert (await service.sets.page(TENANT, "", 1)).next_token == ""


async def test_exemplars_are_listed_with_their_thumbnails(service):
    await service.create()
    image = image_of(0)
    await service.add(labelled("x", image, "a"), labelled("x", vector_of(1), "b"))
    listing = Listing("", 1, "", embeddings=False)
    sets = service.sets
    listed = await sets.exemplars(TENANT, "set", listing, 0, with_thumbnails=True)
    after_a = replace(listing, after="a")
    rest = await sets.exemplars(TENANT, "set", after_a, 0, with_thumbnails=True)
    assert (listed.page.next_token, listed.thumbnails) == ("a", {"a": image.upper()})
    assert (rest.page.next_token, rest.thumbnails) == ("", {})


async def test_a_description_counts_exemplars_by_label(service):
    await service.create()
    await service.add(labelled("x", vector_of(0)), labelled("y", vector_of(1)))
    described, counts = await service.sets.describe(TENANT, "set", 2)
    assert (described.exemplar_count, counts) == (2, {"x": 1, "y": 1})


async def test_a_description_ahead_of_the_store_is_refused(service):
    await service.create()
    with pytest.raises(RevisionNotReachedError):
        await service.sets.describe(TENANT, "set", 2)


async def test_concurrent_additions_are_all_found(service):
    await service.create()
    await asyncio.gather(
        *(service.add(labelled(str(n), vector_of(n % DIM), f"id-{n}")) for n in range(30))
    )
    async with service.sets.snapshot(TENANT, "set", 31) as snapshot:
        assert snapshot.live()[0] == sorted(f"id-{n}" for n in range(30))


class SlowStore(FakeStore):
    """Commits what it is told, and answers only when `gate` is open: as under a busy disk."""

    def __init__(self):
        super().__init__()
        self.gate = asyncio.Event()

    async def delete(self, *arguments, **options):
        change = await super().delete(*arguments, **options)
        await self.gate.wait()
        return change


async def test_a_change_whose_caller_left_is_seen_by_the_next_query():
    service = Service(store=SlowStore())
    await service.create()
    await service.add(labelled("x", image_of(0)))
    assert best(await service.classify(image_of(0))) == ["x"]
    call = asyncio.ensure_future(service.delete())
    await asyncio.sleep(0)  # one turn of the loop: the change begins
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    service.store.gate.set()
    await service.sets._changes.settled()  # noqa: SLF001 - what goes on is the claim
    with pytest.raises(NotFoundError):
        await service.classify(image_of(0))
