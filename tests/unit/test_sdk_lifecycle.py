"""Claims about what becomes of support sets, for both clients, against a server in this process."""

import grpc

from exemplar import ExemplarUpdate
from exemplar.v1 import support_set_pb2
from unit.sdk_fake_server import Failure

pytest_plugins = ["unit.sdk_fixtures"]

UNAVAILABLE = Failure(grpc.StatusCode.UNAVAILABLE)
UpdateRequest = support_set_pb2.UpdateExemplarsRequest


async def exemplars(client):
    return {e.exemplar_id: e for e in await client.list_exemplars("inspection")}


async def test_labels_and_metadata_are_updated(client, inspection):
    updates = [
        ExemplarUpdate("id-00000", "dent", {"camera": "7"}),
        ExemplarUpdate("id-00001", metadata={"camera": "8"}),
    ]
    result = await client.update_exemplars("inspection", updates)
    assert (result.revision, result.errors, result.exemplar_count) == (3, {}, 2)
    first, second = (await exemplars(client)).values()
    assert (first.label, first.metadata) == ("dent", {"camera": "7"})
    assert (second.label, second.metadata) == ("scratch", {"camera": "8"})


async def test_new_labels_may_be_a_dictionary_as_an_evaluation_suggests_them(client, inspection):
    await client.update_exemplars("inspection", {"id-00000": "scratch"})
    assert (await exemplars(client))["id-00000"].label == "scratch"


async def test_updates_that_fail_are_reported_at_their_positions(client, inspection):
    result = await client.update_exemplars("inspection", {"nobody": "x", "id-00000": "x"})
    assert {at: error.reason for at, error in result.errors.items()} == {0: "NOT_FOUND"}


async def test_an_update_is_tried_again_with_its_request_id(client, inspection, fake):
    fake.failures.extend([UNAVAILABLE, UNAVAILABLE])
    await client.update_exemplars("inspection", {"id-00000": "x"})
    assert len({request.request_id for request in fake.seen(UpdateRequest)[-3:]}) == 1


async def test_many_updates_go_in_parts_that_expect_each_other(client, inspection, fake):
    revision = fake.sets["inspection"].revision
    await client.update_exemplars(
        "inspection", [ExemplarUpdate(str(n), "x") for n in range(1001)], expected_revision=revision
    )
    parts = fake.seen(UpdateRequest)
    assert [len(request.updates) for request in parts] == [1000, 1]
    assert [request.expected_revision for request in parts] == [revision, revision + 1]
    assert len({request.request_id for request in parts}) == 2


async def test_a_read_after_an_update_asks_for_its_revision(client, inspection, fake):
    result = await client.update_exemplars("inspection", {"id-00000": "x"})
    await client.get_support_set("inspection")
    asked = fake.seen(support_set_pb2.GetSupportSetRequest)[-1]
    assert asked.min_revision == result.revision
