"""Claims about what becomes of support sets, for both clients, against a server in this process."""

import grpc
import pytest

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


async def test_images_that_are_kept_no_more_are_counted(client, inspection, fake):
    result = await client.update_support_set("inspection", keep_images=False)
    assert (result.deleted_images, result.deleted_image_bytes) == (2, 4)
    assert not (await client.get_support_set("inspection")).keep_images
    assert (await client.update_support_set("inspection", keep_images=True)).deleted_images == 0


async def test_a_copy_has_what_this_client_has_seen_of_its_source(client, inspection, fake):
    result = await client.copy_support_set("inspection", "copy")
    assert result.exemplar_count == (await client.get_support_set("copy")).exemplar_count == 2
    asked = fake.seen(support_set_pb2.CopySupportSetRequest)[-1]
    assert asked.min_revision == fake.sets["inspection"].revision
    read = fake.seen(support_set_pb2.GetSupportSetRequest)[-1]
    assert read.min_revision == result.revision


@pytest.mark.parametrize("by", ["name", "revision"])
async def test_a_snapshot_is_the_way_back(client, inspection, by):
    saved = await client.create_snapshot("inspection", "good")
    await client.remove_exemplars("inspection", ["id-00000"])
    (listed,) = await client.list_snapshots("inspection")
    assert (listed.name, listed.revision, listed.exemplar_count) == ("good", saved.revision, 2)
    to = "good" if by == "name" else saved.revision
    back = await client.roll_back("inspection", to)
    assert (back.exemplar_count, len(await exemplars(client))) == (2, 2)
    await client.delete_snapshot("inspection", "good")
    assert await client.list_snapshots("inspection") == []


CHANGES = {
    "update_support_set": lambda c: c.update_support_set("inspection", keep_images=False),
    "copy_support_set": lambda c: c.copy_support_set("inspection", "copy"),
    "create_snapshot": lambda c: c.create_snapshot("inspection", "new"),
    "roll_back": lambda c: c.roll_back("inspection", "good"),
    "delete_snapshot": lambda c: c.delete_snapshot("inspection", "good"),
    "delete_tenant": lambda c: c.delete_tenant("acme"),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_is_tried_again_with_its_request_id(client, inspection, fake, change):
    await client.create_snapshot("inspection", "good")
    fake.failures.extend([UNAVAILABLE, UNAVAILABLE])
    await CHANGES[change](client)
    ids = [request.request_id for request in fake.requests[-3:]]
    assert ids[0] != ""
    assert ids == ids[:1] * 3


async def test_a_server_is_warmed_up_for_what_this_client_has_seen(client, inspection, fake):
    ready = await client.warm_up("inspection")
    assert (ready.revision, ready.index_bytes, ready.warm_up_ms) == (2, 4096, 1.5)
    assert fake.seen(support_set_pb2.WarmUpRequest)[-1].min_revision == 2


async def test_a_deletion_has_a_receipt(client, inspection):
    receipt = (await client.delete_support_set("inspection")).receipt
    assert (receipt.support_sets, receipt.exemplars, receipt.snapshots) == (1, 2, 0)


async def test_a_tenant_is_deleted_with_a_receipt(client, inspection, fake):
    receipt = await client.delete_tenant("acme")
    assert (receipt.support_sets, receipt.image_bytes) == (1, 7)
    assert fake.seen(support_set_pb2.DeleteTenantRequest)[-1].confirmation == "acme"
    assert fake.sets == {}
