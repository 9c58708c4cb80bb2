"""Whose call it is: every method needs a credential, and no tenant reaches another's data."""

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from exemplar.v1 import classification_pb2 as classification
from exemplar.v1 import embedding_pb2 as embedding
from exemplar.v1 import evaluation_pb2 as evaluation
from exemplar.v1 import map_pb2 as maps
from exemplar.v1 import support_set_pb2 as sets
from exemplar.v1 import transfer_pb2 as transfers
from exemplar.v1 import upgrade_pb2 as upgrades
from exemplar_server.edge.credentials import key_hash
from process_calls import addition, questions, removal
from rpc_caller import METHODS, Caller
from rpc_calls import copy, forget, keep_images, roll_back, save, update

A_KEY, A_SECOND_KEY, B_KEY = "key-of-a", "second-key-of-a", "key-of-b"


# What another tenant may ask about a's support set "set"; the answers are in the tests.
NAMING_A_SET = {
    "GetSupportSet": sets.GetSupportSetRequest(name="set"),
    "DeleteSupportSet": sets.DeleteSupportSetRequest(name="set"),
    "AddExemplars": addition("set", ["x0"]),
    "RemoveExemplars": removal("set", ["a0"]),
    "UpdateExemplars": update("set"),
    "UpdateSupportSet": keep_images("set"),
    "CopySupportSet": copy("set"),
    "CreateSnapshot": save("set"),
    "ListSnapshots": sets.ListSnapshotsRequest(support_set="set"),
    "DeleteSnapshot": forget("set"),
    "RollBackSupportSet": roll_back("set"),
    "WarmUp": sets.WarmUpRequest(support_set="set"),
    "ListExemplars": sets.ListExemplarsRequest(support_set="set", include_thumbnails=True),
    "Classify": questions("set"),
    "EvaluateSupportSet": evaluation.EvaluateSupportSetRequest(support_set="set"),
    "ComputeMap": maps.ComputeMapRequest(support_set="set"),
    "PlaceOnMap": maps.PlaceOnMapRequest(
        support_set="set",
        points=[maps.PlacedExemplar(exemplar_id="a0")],
        queries=questions("set").queries,
    ),
    "ExportSupportSet": transfers.ExportSupportSetRequest(support_set="set"),
    "StartUpgrade": upgrades.StartUpgradeRequest(support_set="set", backbone="tiny"),
    "GetUpgrade": upgrades.GetUpgradeRequest(support_set="set"),
    "RollBackUpgrade": upgrades.RollBackUpgradeRequest(support_set="set"),
    "CancelUpgrade": upgrades.CancelUpgradeRequest(support_set="set"),
    "FinishUpgrade": upgrades.FinishUpgradeRequest(support_set="set"),
    "StreamClassify": classification.StreamClassifyRequest(request=questions("set")),
}
NAMING_NONE = {
    "ComputeMapOfItems",
    "CreateSupportSet",
    "DeleteTenant",
    "ListSupportSets",
    "ListUpgrades",
    "GetServerInfo",
    "ImportSupportSet",
    "ListBackbones",
    "Embed",
}


def bearer(key, *more):
    return (("authorization", f"Bearer {key}"), *more)


@pytest.fixture
def settings(settings, tmp_path):
    owners = {A_KEY: "a", A_SECOND_KEY: "a", B_KEY: "b"}
    lines = [f"{tenant} {key_hash(key)}\n" for key, tenant in owners.items()]
    path = tmp_path / "keys"
    path.write_text("# tenant hash\n" + "".join(lines), encoding="ascii")
    return settings.model_copy(update={"api_keys_file": path})


@pytest.fixture
def a(server):
    return Caller(server.channel, bearer(A_KEY))


@pytest.fixture
def b(server):
    return Caller(server.channel, bearer(B_KEY))


async def taught(caller, *ids, name="set"):
    """A support set of these exemplars."""
    await caller("CreateSupportSet", sets.CreateSupportSetRequest(name=name))
    if ids:
        await caller("AddExemplars", addition(name, ids))


async def names(caller, **options):
    """The names on a page of support sets, and the token of the next page."""
    (page,) = await caller("ListSupportSets", sets.ListSupportSetsRequest(**options))
    return [s.name for s in page.support_sets], page.next_page_token


async def ids(caller, **options):
    """The ids on a page of exemplars, and the token of the next page."""
    request = sets.ListExemplarsRequest(support_set="set", **options)
    (page,) = await caller("ListExemplars", request)
    return [e.exemplar_id for e in page.exemplars], page.next_page_token


async def seen(caller):
    """Everything that the tenant can see of its support set "set"."""
    listing = sets.ListExemplarsRequest(
        support_set="set", include_embeddings=True, include_thumbnails=True
    )
    (described,) = await caller("GetSupportSet", sets.GetSupportSetRequest(name="set"))
    (listed,) = await caller("ListExemplars", listing)
    (classified,) = await caller("Classify", questions("set"))
    return described, listed, list(classified.answers), await names(caller)


# Credentials


@pytest.mark.parametrize("metadata", [(), bearer("wrong")], ids=["missing", "wrong"])
async def test_without_a_right_key_every_method_is_refused(server, metadata):
    codes = await Caller(server.channel, metadata).codes()
    assert codes == dict.fromkeys(METHODS, grpc.StatusCode.UNAUTHENTICATED)


async def test_with_a_right_key_every_method_comes_to_its_request(a):
    codes = await a.codes()
    assert set(codes.values()) <= {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}


async def test_a_key_is_no_key_of_the_tenant_that_the_caller_claims_to_be(server):
    codes = await Caller(server.channel, bearer(B_KEY, ("x-exemplar-tenant", "a"))).codes()
    assert codes == dict.fromkeys(METHODS, grpc.StatusCode.PERMISSION_DENIED)


async def test_an_unknown_method_is_unimplemented_with_a_key_and_without(server):
    for metadata in [(), bearer(A_KEY)]:
        call = server.channel.unary_unary("/exemplar.v1.ServerService/Shutdown")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(b"", metadata=metadata)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


NOT_A_KEY = ["", "Bearer", "Bearer ", A_KEY, f"Basic {A_KEY}", f"Bearer {key_hash(A_KEY)}"]
NOT_A_KEY += [f"Bearer {A_KEY[:-1]}", f"Bearer {A_KEY}x", f"Bearer  {A_KEY}"]
NOT_A_KEY += [f"Bearer {A_KEY} {B_KEY}", f"Bearer {A_KEY},Bearer {B_KEY}"]


async def test_what_is_not_bearer_and_one_whole_key_is_refused(server):
    codes = {
        text: await Caller(server.channel, (("authorization", text),)).code("GetServerInfo")
        for text in NOT_A_KEY
    }
    assert codes == dict.fromkeys(NOT_A_KEY, grpc.StatusCode.UNAUTHENTICATED)


@pytest.mark.parametrize(
    ("key", "tenant"), [(A_KEY, "a"), (A_SECOND_KEY, "a"), (B_KEY, "b")], ids=["a", "a's 2nd", "b"]
)
async def test_the_key_says_whose_call_it_is(server, key, tenant):
    (info,) = await Caller(server.channel, bearer(key))("GetServerInfo")
    assert info.tenant == tenant


async def test_two_keys_of_a_tenant_open_the_same_support_sets(server, a):
    await taught(a, "a0")
    assert await ids(Caller(server.channel, bearer(A_SECOND_KEY))) == (["a0"], "")


@pytest.mark.parametrize("claims", ["b", "ab", "bb"])
async def test_no_number_of_claims_makes_b_another(server, claims):
    claimed = [("x-exemplar-tenant", claim) for claim in claims]
    (info,) = await Caller(server.channel, bearer(B_KEY, *claimed))("GetServerInfo")
    assert info.tenant == "b"


@pytest.mark.parametrize("service", ["", "exemplar.v1.ClassificationService"])
async def test_health_needs_no_key(server, service):
    health = health_pb2_grpc.HealthStub(server.channel)
    request = health_pb2.HealthCheckRequest(service=service)
    serving = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
    assert await health.Check(request) == serving
    assert await health.Watch(request).read() == serving


# Tenants


def test_every_method_is_sorted_into_those_that_name_a_support_set():
    assert METHODS.keys() == NAMING_A_SET.keys() | NAMING_NONE


@pytest.mark.parametrize("name", NAMING_A_SET)
async def test_another_tenants_support_set_is_not_found_and_stays_as_it_is(a, b, name):
    unknown = await b.failure(name, NAMING_A_SET[name])
    await taught(a, "a0", "a1")
    before = await seen(a)
    assert unknown[0] == "NOT_FOUND"
    assert await b.failure(name, NAMING_A_SET[name]) == unknown  # not even that there is one
    assert await seen(a) == before


async def test_another_tenants_support_sets_are_not_listed(a, b):
    await taught(a, "a0")
    assert await names(b) == ([], "")


async def test_one_name_is_two_support_sets_of_two_tenants(a, b):
    await taught(a, "a0", "a1")
    before = await seen(a)
    await taught(b, "b0", "b1", "b2")
    described, listed, answers, listing = await seen(b)
    assert described.support_set.exemplar_count == 3
    assert [e.exemplar_id for e in listed.exemplars] == ["b0", "b1", "b2"]
    assert {n.label for answer in answers for n in answer.neighbors} == {"b"}
    assert listing == (["set"], "")
    assert await seen(a) == before


async def test_a_map_shows_the_tenants_own_exemplars_only(a, b):
    await taught(a, "a0", "a1")
    await taught(b, "b0")
    events = await b("ComputeMap", NAMING_A_SET["ComputeMap"])
    assert [p.exemplar_id for event in events for p in event.points.points] == ["b0"]


async def test_an_exemplar_of_another_tenant_is_not_found_by_its_id(a, b):
    await taught(a, "a0")
    await taught(b, "b0")
    (removed,) = await b("RemoveExemplars", removal("set", ["a0"]))
    (updated,) = await b("UpdateExemplars", update("set", ["a0"]))
    for changed in (removed, updated):
        assert changed.results[0].error.reason == embedding.ERROR_REASON_NOT_FOUND
    assert await ids(a) == (["a0"], "")


async def test_one_exemplar_id_is_two_exemplars_of_two_tenants(a, b):
    await taught(a, "same")
    await taught(b, "same")
    await b("RemoveExemplars", removal("set", ["same"]))
    assert (await ids(a), await ids(b)) == ((["same"], ""), ([], ""))


async def test_a_snapshot_of_another_tenant_is_not_found_by_its_name(a, b):
    for caller in (a, b):
        await taught(caller, "x0")
    await a("CreateSnapshot", save("set", "pinned"))
    before = await seen(a)
    for name in ("RollBackSupportSet", "DeleteSnapshot"):
        assert (await b.failure(name, NAMING_A_SET[name]))[0] == "NOT_FOUND"
    assert not (await b("ListSnapshots", NAMING_A_SET["ListSnapshots"]))[0].snapshots
    assert await seen(a) == before


async def test_a_deletion_leaves_the_other_tenants_support_set_of_that_name(a, b):
    await taught(a, "a0")
    before = await seen(a)
    await taught(b, "b0")
    await b("DeleteSupportSet", NAMING_A_SET["DeleteSupportSet"])
    assert await seen(a) == before


async def test_a_request_id_of_another_tenant_is_no_retry(a, b):
    for caller in (a, b):
        await caller("CreateSupportSet", sets.CreateSupportSetRequest(name="set", request_id="1"))
        await caller("AddExemplars", addition("set", ["x0", "x1"], request_id="2"))
        await caller("RemoveExemplars", removal("set", ["x0"], request_id="3"))
        assert await ids(caller) == (["x1"], "")
    deletion = sets.DeleteSupportSetRequest(name="set", request_id="4")
    await a("DeleteSupportSet", deletion)
    assert await ids(b) == (["x1"], "")
    assert (await b("DeleteSupportSet", deletion))[0].deleted_exemplar_count == 1


async def test_a_request_id_of_another_tenant_is_free_for_another_request(a, b):
    await a("CreateSupportSet", sets.CreateSupportSetRequest(name="a", request_id="1"))
    await b("CreateSupportSet", sets.CreateSupportSetRequest(name="b", request_id="1"))
    assert await names(b) == (["b"], "")


async def test_a_page_token_of_another_tenant_leads_to_ones_own_pages_only(a, b):
    await taught(a, "x0", "x1", "x2")
    await taught(a, name="set2")
    await taught(b, "x0", "x3")
    (_, of_sets), (_, of_exemplars) = await names(a, page_size=1), await ids(a, page_size=1)
    assert await names(b, page_token=of_sets) == ([], "")
    assert await ids(b, page_token=of_exemplars) == (["x3"], "")
