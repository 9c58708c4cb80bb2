"""Claims about changing support sets, each for both clients, against a server in this process."""

import grpc
import pytest

from exemplar import (
    Embedding,
    InvalidArgumentError,
    NewExemplar,
)
from exemplar.v1 import classification_pb2, support_set_pb2
from unit.sdk_fake_server import IMAGE_BYTES, IMAGES_PER_REQUEST, Failure

pytest_plugins = ["unit.sdk_fixtures"]

UNAVAILABLE = Failure(grpc.StatusCode.UNAVAILABLE)
TOO_LARGE = b"x" * (IMAGE_BYTES + 1)
AddRequest = support_set_pb2.AddExemplarsRequest
ClassifyRequest = classification_pb2.ClassifyRequest


async def test_added_exemplars_keep_ids_and_metadata(client, inspection):
    new = NewExemplar("dent", b"c1", exemplar_id="mine", metadata={"camera": "7"})
    assert (await client.add_exemplars("inspection", [new])).exemplar_ids == ["mine"]
    listed = {e.exemplar_id: e for e in await client.list_exemplars("inspection")}
    assert (listed["mine"].label, listed["mine"].metadata) == ("dent", {"camera": "7"})
    assert isinstance(listed["mine"].embedding, Embedding)


async def test_a_retry_keeps_the_request_id_and_changes_nothing_twice(client, inspection, fake):
    fake.failures.extend([UNAVAILABLE, UNAVAILABLE])
    result = await client.add_exemplars("inspection", [("ok", b"a2")])
    tries = fake.seen(AddRequest)[-3:]
    assert len({request.request_id for request in tries}) == 1
    assert result.exemplar_count == 3


async def test_a_job_tried_again_with_its_id_changes_nothing(client, inspection, fake):
    job = [("ok", b"a%d" % i) for i in range(10)]
    first = await client.add_exemplars("inspection", job, request_id="job-1")
    again = await client.add_exemplars("inspection", job, request_id="job-1")
    assert again == first
    assert len(fake.sets["inspection"].exemplars) == 12
    assert len({request.request_id for request in fake.seen(AddRequest)[-6:]}) == 3


async def test_a_job_that_stops_halfway_tells_how_to_go_on(client, inspection, fake):
    fake.failures.clear()

    def images():
        yield from [("ok", b"a%d" % i) for i in range(IMAGES_PER_REQUEST)]
        fake.failures.append(Failure(grpc.StatusCode.INTERNAL))
        yield ("ok", b"a9")

    with pytest.raises(Exception, match="said the test") as raised:
        await client.add_exemplars("inspection", images(), request_id="job-2")
    assert "first 4 exemplars" in raised.value.__notes__[0]
    assert "request_id='job-2'" in raised.value.__notes__[0]


async def test_each_part_expects_the_revision_that_the_part_before_made(client, inspection, fake):
    revision = fake.sets["inspection"].revision
    job = [("ok", b"a%d" % i) for i in range(9)]
    await client.add_exemplars("inspection", job, expected_revision=revision)
    expected = [request.expected_revision for request in fake.seen(AddRequest)[-3:]]
    assert expected == [revision, revision + 1, revision + 2]


async def test_all_or_nothing_is_one_request_or_none(client, inspection, fake):
    before = len(fake.seen(AddRequest))
    too_many = [("ok", b"a1")] * (IMAGES_PER_REQUEST + 1)
    for job in (too_many, [("ok", b"a1"), ("ok", TOO_LARGE)]):
        with pytest.raises(InvalidArgumentError, match="exemplars"):
            await client.add_exemplars("inspection", job, all_or_nothing=True)
    assert len(fake.seen(AddRequest)) == before
    await client.add_exemplars("inspection", [("ok", b"a1")], all_or_nothing=True)
    assert fake.seen(AddRequest)[-1].all_or_nothing


async def test_removed_exemplars_are_reported_one_by_one(client, inspection):
    result = await client.remove_exemplars("inspection", ["id-00000", "nobody"])
    assert (result.exemplar_count, list(result.errors)) == (1, [1])
    assert result.errors[1].reason == "NOT_FOUND"
