"""The good path of every call about support sets, through gRPC: what was taught is answered."""

import time

import grpc
import numpy as np
import pytest

import tiny_backbone
from exemplar.v1 import admin_pb2 as admin
from exemplar.v1 import classification_pb2 as classification
from exemplar.v1 import embedding_pb2 as embedding
from exemplar.v1 import support_set_pb2 as sets
from pictures import pixels, png
from rpc_calls import add, ask, classify, refusal, remove

IDS = ["a0", "a1", "b0", "b1", "c0"]
DIM = tiny_backbone.DIM


def image_of(exemplar_id):
    return png(IDS.index(exemplar_id))


def exemplars(*ids):
    """New exemplars; an id's first letter is the label."""
    return [
        sets.NewExemplar(label=i[0], image=image_of(i), exemplar_id=i, metadata={"id": i})
        for i in ids
    ]


def creation(name="set", **options):
    return sets.CreateSupportSetRequest(name=name, **options)


def deletion(name="set", **options):
    return sets.DeleteSupportSetRequest(name=name, **options)


def queries(*ids):
    return [classification.Query(image=image_of(i)) for i in ids]


async def taught(server, *ids, **options):
    await ask(server, creation(**options))
    return await ask(server, add(exemplars=exemplars(*ids)))


async def described(server, name="set", min_revision=0):
    request = sets.GetSupportSetRequest(name=name, min_revision=min_revision)
    return (await ask(server, request)).support_set


async def listed(server, **options):
    return await ask(server, sets.ListExemplarsRequest(support_set="set", **options))


async def pages(fetch):
    """The pages from the first to the one without a token."""
    found = [await fetch("")]
    while found[-1].next_page_token:
        found.append(await fetch(found[-1].next_page_token))
    return found


async def embedded(server, *ids):
    request = embedding.EmbedRequest(images=[image_of(i) for i in ids])
    return [result.embedding for result in (await ask(server, request)).results]


def values(vector):
    return np.frombuffer(vector.values, "<f4")


# Support sets


@pytest.mark.parametrize("options", [{}, {"backbone": "tiny"}, {"keep_images": False}])
async def test_a_support_set_is_described_as_it_was_created(server, options):
    created = (await ask(server, creation(**options))).support_set
    assert (created.name, created.backbone, created.dim) == ("set", "tiny", DIM)
    assert (created.revision, created.exemplar_count, list(created.labels)) == (1, 0, [])
    assert created.keep_images == options.get("keep_images", True)
    assert time.time() - created.create_time.ToSeconds() < 60
    assert await described(server) == created


@pytest.mark.parametrize(("size", "lengths"), [(1, [1, 1, 1]), (2, [2, 1]), (3, [3]), (0, [3])])
async def test_support_sets_are_listed_by_name_a_page_at_a_time(server, size, lengths):
    for name in ("c", "a", "b"):
        await ask(server, creation(name))

    async def fetch(token):
        return await ask(server, sets.ListSupportSetsRequest(page_size=size, page_token=token))

    found = await pages(fetch)
    assert [len(page.support_sets) for page in found] == lengths
    assert [s for page in found for s in page.support_sets] == [
        await described(server, name) for name in "abc"
    ]


async def test_no_support_sets_are_one_empty_page(server):
    empty = sets.ListSupportSetsResponse()
    assert await ask(server, sets.ListSupportSetsRequest()) == empty


async def test_a_deleted_support_set_is_gone_and_its_name_is_free(server):
    await taught(server, *IDS)
    gone = await ask(server, deletion())
    assert (gone.deleted_exemplar_count, gone.revision) == (5, 3)
    code, _ = await refusal(server, sets.GetSupportSetRequest(name="set"))
    assert code is grpc.StatusCode.NOT_FOUND
    again = (await ask(server, creation())).support_set
    assert (again.exemplar_count, again.revision > gone.revision) == (0, True)


# Exemplars


async def test_added_exemplars_are_answered_in_order_and_counted_by_label(server):
    added = await taught(server, *IDS[::-1])
    assert [result.exemplar_id for result in added.results] == IDS[::-1]
    assert (added.revision, added.exemplar_count) == (2, 5)
    after = await described(server)
    assert (after.revision, after.exemplar_count, after.fingerprint) == (2, 5, added.fingerprint)
    counts = [(count.label, count.exemplar_count) for count in after.labels]
    assert counts == [("a", 2), ("b", 2), ("c", 1)]


async def test_an_exemplar_is_listed_as_it_was_added(server):
    await taught(server, "a0", "a1")
    await ask(server, add(exemplars=exemplars("b0")))
    page = await listed(server)
    assert [dict(e.metadata)["id"] for e in page.exemplars] == ["a0", "a1", "b0"]
    assert [(e.label, e.revision) for e in page.exemplars] == [("a", 2), ("a", 2), ("b", 3)]
    assert all(e.has_image for e in page.exemplars)
    assert not any(e.thumbnail or e.HasField("embedding") for e in page.exemplars)
    assert page.revision == 3


@pytest.mark.parametrize(
    ("label", "size", "lengths"),
    [("", 1, [1] * 5), ("", 2, [2, 2, 1]), ("", 5, [5]), ("", 0, [5]), ("b", 1, [1, 1])],
)
async def test_exemplars_are_listed_by_id_a_page_at_a_time(server, label, size, lengths):
    await taught(server, *IDS[::-1])

    async def fetch(token):
        return await listed(server, page_size=size, page_token=token, label=label)

    found = await pages(fetch)
    expected = [i for i in IDS if i.startswith(label)]
    assert [e.exemplar_id for page in found for e in page.exemplars] == expected
    assert [len(page.exemplars) for page in found] == lengths


async def test_exemplars_are_listed_with_embeddings_and_thumbnails_on_demand(server):
    await taught(server, *IDS)
    page = await listed(server, include_embeddings=True, include_thumbnails=True)
    assert [e.embedding for e in page.exemplars] == await embedded(server, *IDS)
    assert all(e.thumbnail.startswith(b"\xff\xd8\xff") for e in page.exemplars)


async def test_images_that_are_not_kept_are_gone_but_teach(server):
    await taught(server, *IDS, keep_images=False)
    page = await listed(server, include_thumbnails=True)
    assert not any(e.has_image or e.thumbnail for e in page.exemplars)
    (answer,) = (await ask(server, classify(queries=queries("b1"), k=1))).answers
    assert answer.label == "b"


async def test_an_exemplar_may_be_a_ready_made_embedding(server):
    await ask(server, creation())
    (vector,) = await embedded(server, "c0")
    await ask(server, add(exemplars=[sets.NewExemplar(label="c", embedding=vector)]))
    (found,) = (await listed(server, include_embeddings=True)).exemplars
    np.testing.assert_allclose(values(found.embedding), values(vector), atol=1e-6)
    assert (found.label, found.has_image) == ("c", False)


async def test_a_removed_exemplar_is_listed_and_answered_no_more(server):
    await taught(server, *IDS)
    removed = await ask(server, remove(exemplar_ids=["c0", "a1"]))
    assert [result.exemplar_id for result in removed.results] == ["c0", "a1"]
    assert (removed.revision, removed.exemplar_count) == (3, 3)
    assert [e.exemplar_id for e in (await listed(server)).exemplars] == ["a0", "b0", "b1"]
    answers = (await ask(server, classify(queries=queries(*IDS), include_neighbors=True))).answers
    assert {n.exemplar_id for a in answers for n in a.neighbors} == {"a0", "b0", "b1"}


# Embeddings and answers


@pytest.mark.parametrize("backbone", ["", "tiny"])
async def test_embeddings_are_what_the_backbone_computes(server, backbone):
    request = embedding.EmbedRequest(images=[image_of(i) for i in IDS], backbone=backbone)
    response = await ask(server, request)
    rows = [values(r.embedding) for r in response.results]
    expected_BD = tiny_backbone.reference(np.stack([pixels(image_of(i)) for i in IDS]))
    np.testing.assert_allclose(np.stack(rows), expected_BD, atol=1e-5)
    spaces = {(r.embedding.dim, r.embedding.fingerprint) for r in response.results}
    assert spaces == {(DIM, response.fingerprint)}


async def test_the_server_tells_its_limits_and_its_backbones(server, settings):
    info = await server.server.GetServerInfo(admin.GetServerInfoRequest())
    ready = await server.embedding.ListBackbones(embedding.ListBackbonesRequest())
    assert {f.name: v for f, v in info.limits.ListFields()} == vars(settings.limits())
    assert list(info.backbones) == list(ready.backbones)
    (backbone,) = ready.backbones
    assert (backbone.name, backbone.dim, backbone.input_size) == ("tiny", DIM, 32)
    assert (info.tenant, info.execution_provider) == ("default", backbone.execution_provider)


HEADS = {name: n for name, n in classification.Head.items() if name != "HEAD_RIDGE"}
every_head = pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)


@every_head
async def test_every_head_answers_and_is_named(server, head):
    await taught(server, *IDS)
    asked = classify(queries=queries(*IDS), head=head, k=2)
    response = await ask(server, asked)
    assert [answer.label for answer in response.answers] == [i[0] for i in IDS]
    assert response.head in {classification.HEAD_KNN, classification.HEAD_PROTOTYPE}
    assert head in {response.head, classification.HEAD_UNSPECIFIED, classification.HEAD_AUTO}
    assert (response.revision, {a.verdict for a in response.answers}) == (2, {1})
    sums = [sum(score.score for score in answer.scores) for answer in response.answers]
    np.testing.assert_allclose(sums, 1, atol=1e-6)


@every_head
async def test_an_image_and_its_embedding_get_one_answer(server, head):
    await taught(server, *IDS[:-1])
    vectors = [classification.Query(embedding=v) for v in await embedded(server, *IDS)]
    mixed = [q for pair in zip(queries(*IDS), vectors, strict=True) for q in pair]
    answers = (await ask(server, classify(queries=mixed, head=head))).answers
    for of_image, of_vector in zip(answers[::2], answers[1::2], strict=True):
        assert [s.label for s in of_image.scores] == [s.label for s in of_vector.scores]
        assert of_image.score == pytest.approx(of_vector.score, abs=1e-5)
        assert of_image.similarity == pytest.approx(of_vector.similarity, abs=1e-5)


@pytest.mark.parametrize("k", [1, 3, 100])
async def test_the_k_nearest_are_answered_nearest_first_where_asked_for(server, k):
    await taught(server, *IDS)
    (answer,) = (
        await ask(
            server,
            classify(
                queries=queries("b0"), k=k, include_neighbors=True, head=classification.HEAD_KNN
            ),
        )
    ).answers
    similarities = [n.similarity for n in answer.neighbors]
    assert (answer.neighbors[0].exemplar_id, answer.neighbors[0].label) == ("b0", "b")
    assert len(similarities) == min(k, len(IDS))
    assert similarities == sorted(similarities, reverse=True)
    assert similarities[0] == answer.similarity == pytest.approx(1, abs=1e-5)


async def test_ridge_says_how_many_exemplars_it_takes(server):
    await taught(server, *IDS)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await ask(server, classify(queries=queries("b0"), head=classification.HEAD_RIDGE))
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.value.details().startswith("head: RIDGE takes 10 exemplars of each label")


async def test_a_rate_of_zero_makes_every_query_unknown_and_tells_the_threshold(server):
    await taught(server, *IDS)
    response = await ask(server, classify(queries=queries(*IDS), false_accept_rate=0))
    assert {a.verdict for a in response.answers} == {classification.VERDICT_UNKNOWN}
    assert response.calibration.threshold == 3.0


async def test_a_label_set_holds_the_best_label_and_is_sent_where_asked_for(server):
    await taught(server, *IDS)
    asked = classify(queries=queries(*IDS), coverage=0.5)
    for answer in (await ask(server, asked)).answers:
        assert answer.label_set[0] == answer.label


async def test_neighbors_are_not_sent_unasked(server):
    await taught(server, *IDS)
    assert not (await ask(server, classify(queries=queries("b0")))).answers[0].neighbors
