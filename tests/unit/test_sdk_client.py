"""Claims about the clients, against a server in this process. Each holds for both clients."""

import io

import grpc
import numpy as np
import pytest

from exemplar import (
    AbortedError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)
from exemplar.v1 import classification_pb2, support_set_pb2
from unit.sdk_fake_server import IMAGE_BYTES, IMAGES_PER_REQUEST, Failure

pytest_plugins = ["unit.sdk_fixtures"]

UNAVAILABLE = Failure(grpc.StatusCode.UNAVAILABLE)
TOO_LARGE = b"x" * (IMAGE_BYTES + 1)
AddRequest = support_set_pb2.AddExemplarsRequest
ClassifyRequest = classification_pb2.ClassifyRequest


async def test_each_query_gets_its_answer_in_order(client, inspection, fake):
    images = [b"a%d" % i if i % 2 else b"b%d" % i for i in range(11)]
    answers = await client.classify("inspection", images, k=5, head="knn")
    assert [answer.label for answer in answers] == ["ok" if i % 2 else "scratch" for i in range(11)]
    assert answers[0].neighbors[0].label == "scratch"
    assert (answers[0].head, answers[0].score, answers[0].error) == ("knn", 1.0, None)
    # They run side by side: the server may see them in any order.
    assert sorted(len(r.queries) for r in fake.seen(ClassifyRequest)) == [3, 4, 4]


async def test_neighbors_may_be_approximate_unless_exact_ones_are_asked_for(client, inspection):
    (rough,) = await client.classify("inspection", [b"a1"])
    (exact,) = await client.classify("inspection", [b"a1"], exact=True)
    assert (rough.is_approximate, exact.is_approximate) == (True, False)


async def test_a_bad_image_costs_only_itself(client, inspection, tmp_path):
    missing = tmp_path / "missing.jpg"
    images = [b"a1", b"bad", TOO_LARGE, missing, b"", b"b1", TOO_LARGE]
    answers = await client.classify("inspection", images)
    reasons = [answer.error.reason if answer.error else answer.label for answer in answers]
    assert reasons == [
        "ok",
        "UNDECODABLE_IMAGE",
        "LIMIT_EXCEEDED",
        "INVALID_INPUT",
        "UNDECODABLE_IMAGE",
        "scratch",
        "LIMIT_EXCEEDED",
    ]
    assert answers[2].error.message == "queries[2]: expected at most 1000 bytes, got more"
    assert str(missing) in answers[3].error.message


async def test_errors_name_the_position_in_the_whole_job(client, inspection):
    images = [b"a1"] * (IMAGES_PER_REQUEST + 1) + [b"bad"]
    assert (await client.classify("inspection", images))[5].error.message.startswith("queries[5]")
    assert (await client.embed(images))[5].error.message.startswith("images[5]")
    added = await client.add_exemplars("inspection", [("ok", image) for image in images])
    assert added.errors[5].message.startswith("exemplars[5]")


async def test_requests_are_cut_by_bytes(client, inspection, fake):
    await client.classify("inspection", [b"a" * 900] * 4)
    assert [len(r.queries) for r in fake.seen(ClassifyRequest)] == [2, 2]


async def test_images_come_as_bytes_path_file_or_embedding(client, inspection, tmp_path):
    path = tmp_path / "b.jpg"
    path.write_bytes(b"b2")
    embedding = (await client.embed([b"b3"]))[0]
    images = [b"b1", bytearray(b"b1"), str(path), path, io.BytesIO(b"b4"), embedding]
    answers = await client.classify("inspection", images)
    assert [answer.label for answer in answers] == ["scratch"] * 6


async def test_embeddings_are_unit_vectors_in_order(client):
    made = await client.embed([b"a%d" % i for i in range(9)])
    assert np.asarray(made).shape == (9, 8)
    np.testing.assert_allclose(np.linalg.norm(np.asarray(made), axis=1), 1, rtol=1e-6)
    again = await client.embed([b"a8"])
    assert again[0] == made[8]


async def test_a_failed_embedding_cannot_be_added_nor_classified(client, inspection):
    failed = (await client.embed([b"bad"]))[0]
    added = await client.add_exemplars("inspection", [("ok", failed)])
    answer = (await client.classify("inspection", [failed]))[0]
    assert added.errors[0].reason == answer.error.reason == "UNDECODABLE_IMAGE"
    assert added.exemplar_count == 2


async def test_one_image_without_a_list_is_refused(client, inspection):
    with pytest.raises(TypeError, match="queries: expected a list of them, got bytes"):
        await client.classify("inspection", b"a1")
    with pytest.raises(TypeError, match="exemplar_ids: expected a list of ids"):
        await client.remove_exemplars("inspection", "id-1")


async def test_nothing_in_nothing_out(client, inspection):
    assert await client.classify("inspection", []) == []
    assert await client.embed([]) == []
    assert (await client.add_exemplars("inspection", [])).exemplar_count == 2


async def test_reads_ask_for_the_revision_that_this_client_has_seen(client, inspection, fake):
    await client.classify("inspection", [b"a1"])
    assert fake.seen(ClassifyRequest)[-1].min_revision == fake.sets["inspection"].revision
    await client.classify("inspection", [b"a1"], min_revision=0)
    assert fake.seen(ClassifyRequest)[-1].min_revision == 0


async def test_no_server_may_show_a_client_what_it_has_deleted(client, inspection, fake):
    deleted = await client.delete_support_set("inspection")
    assert deleted.deleted_exemplar_count == 2
    with pytest.raises(NotFoundError) as raised:
        await client.get_support_set("inspection")
    assert raised.value.reason == "NOT_FOUND"
    asked = fake.seen(support_set_pb2.GetSupportSetRequest)[-1]
    assert asked.min_revision == deleted.revision > 0


async def test_revisions_of_before_a_restore_are_forgotten(client, inspection, fake):
    fake.store_epoch = "epoch-2"
    not_reached = (("exemplar-reason", "REVISION_NOT_REACHED"),)
    fake.failures.append(Failure(grpc.StatusCode.FAILED_PRECONDITION, trailers=not_reached))
    with pytest.raises(Exception, match="said the test"):
        await client.classify("inspection", [b"a1"])
    await client.classify("inspection", [b"a1"])
    assert fake.seen(ClassifyRequest)[-1].min_revision == 0


async def test_a_client_that_only_made_a_support_set_forgets_too(client, fake):
    """It has asked for nothing that tells the epoch by itself."""
    await client.create_support_set("set")
    fake.store_epoch = "epoch-2"
    not_reached = (("exemplar-reason", "REVISION_NOT_REACHED"),)
    fake.failures.append(Failure(grpc.StatusCode.FAILED_PRECONDITION, trailers=not_reached))
    with pytest.raises(Exception, match="said the test"):
        await client.get_support_set("set")
    await client.get_support_set("set")
    assert fake.seen(support_set_pb2.GetSupportSetRequest)[-1].min_revision == 0


async def test_lists_are_read_page_by_page(client, inspection, fake):
    for name in ("a", "b", "c"):
        await client.create_support_set(name, keep_images=False)
    names = [found.name for found in await client.list_support_sets()]
    assert names == ["a", "b", "c", "inspection"]
    assert len(fake.seen(support_set_pb2.ListSupportSetsRequest)) == 2


async def test_a_stream_answers_in_order(client, inspection, fake):
    images = iter([b"a1", b"bad", TOO_LARGE, b"b1", TOO_LARGE])
    answers = await client.stream_classify("inspection", images)
    assert [a.error.reason if a.error else a.label for a in answers] == [
        "ok",
        "UNDECODABLE_IMAGE",
        "LIMIT_EXCEEDED",
        "scratch",
        "LIMIT_EXCEEDED",
    ]
    assert [a.error.message[:10] for a in answers if a.error] == [
        "queries[1]",
        "queries[2]",
        "queries[4]",
    ]


async def test_a_failed_request_of_a_stream_fails_its_own_images_only(client, inspection):
    answers = await client.stream_classify("nobody", [b"a1"] * 3, images_per_request=2)
    assert [answer.error.reason for answer in answers] == ["NOT_FOUND"] * 3


async def test_what_the_images_of_a_stream_raise_reaches_the_caller(client, inspection):
    def images():
        yield b"a1"
        raise ValueError("the camera is gone")

    with pytest.raises(ValueError, match="the camera is gone"):
        await client.stream_classify("inspection", images())


async def test_the_server_tells_about_itself(client):
    info = await client.get_server_info()
    assert (info.version, info.limits.images_per_request) == ("9.9.9", IMAGES_PER_REQUEST)
    assert (await client.list_backbones())[0].accuracy == {"fake_5way": 0.5}


async def test_waiting_ends_when_the_server_is_ready(client, fake):
    pushback = (("grpc-retry-pushback-ms", "-1"), ("exemplar-reason", "NOT_SERVING"))
    fake.failures.append(Failure(grpc.StatusCode.UNAVAILABLE, trailers=pushback))
    assert (await client.wait_until_ready(timeout_seconds=10)).version == "9.9.9"


async def test_waiting_ends_with_the_servers_words_when_time_is_up(client, fake):
    pushback = (("grpc-retry-pushback-ms", "-1"), ("exemplar-reason", "NOT_SERVING"))
    fake.failures.append(Failure(grpc.StatusCode.UNAVAILABLE, "server: starting", pushback))
    with pytest.raises(UnavailableError, match="server: starting"):
        await client.wait_until_ready(timeout_seconds=0.1)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.ABORTED, AbortedError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, ResourceExhaustedError),
    ],
)
async def test_a_failed_call_raises_the_exception_of_its_status(client, fake, code, error):
    # A negative pushback forbids the retry that RESOURCE_EXHAUSTED would get.
    fake.failures.append(Failure(code, trailers=(("grpc-retry-pushback-ms", "-1"),)))
    with pytest.raises(error, match="said the test") as raised:
        await client.get_server_info()
    assert raised.value.__cause__ is not None


async def test_an_unknown_head_is_refused_before_any_request(client, inspection, fake):
    before = len(fake.seen(ClassifyRequest))
    with pytest.raises(
        InvalidArgumentError, match="head: expected one of knn, prototype, ridge, auto, got"
    ):
        await client.classify("inspection", [b"a1"], head="svm")
    assert len(fake.seen(ClassifyRequest)) == before


async def test_every_call_carries_tenant_and_user_agent(client, fake):
    await client.get_server_info()
    assert fake.metadata[-1]["x-exemplar-tenant"] == "acme"
    assert fake.metadata[-1]["user-agent"].startswith("exemplar-python/")


async def test_the_limits_are_asked_for_once(client, inspection, fake):
    await client.classify("inspection", [b"a1"])
    await client.embed([b"a1"])
    assert sum(type(r).__name__ == "GetServerInfoRequest" for r in fake.requests) == 1
