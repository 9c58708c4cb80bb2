"""Tenants that are deleted with everything they have, through the real service."""

import grpc
import pytest

from exemplar.v1 import support_set_pb2 as sets
from rpc_calls import ask, classify, goes_on, metric, prepare, refusal

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
ANOTHER = [("x-exemplar-tenant", "another")]


@pytest.fixture
async def server(server):
    """A server whose tenant "default" has a support set of two exemplars, and an empty one."""
    await prepare(server)
    return server


def deletion(confirmation="default", **options):
    return sets.DeleteTenantRequest(confirmation=confirmation, **options)


async def names(server, **options):
    page = await ask(server, sets.ListSupportSetsRequest(), **options)
    return [found.name for found in page.support_sets]


async def test_everything_of_a_tenant_is_deleted_with_a_receipt(server):
    await ask(server, classify())
    receipt = (await ask(server, deletion())).receipt
    counts = receipt.support_sets, receipt.exemplars, receipt.embeddings, receipt.images
    assert counts == (2, 2, 2, 2)
    assert (receipt.snapshots, receipt.image_bytes > 0) == (1, True)
    assert await names(server) == []
    assert await metric(server, "exemplar_index_support_sets") == 0
    assert (await refusal(server, classify()))[0] is NOT_FOUND


async def test_a_tenant_may_begin_anew_and_old_revisions_never_come_back(server):
    before = (await ask(server, sets.GetSupportSetRequest(name="set"))).support_set.revision
    await ask(server, deletion())
    made = await ask(server, sets.CreateSupportSetRequest(name="set"))
    assert made.support_set.revision > before


async def test_a_retry_gets_the_same_receipt_also_after_a_restart(settings, serving):
    async with serving(settings) as server:
        await prepare(server)
        first = await ask(server, deletion(request_id="1"))
    async with serving(settings) as server:
        assert await ask(server, deletion(request_id="1")) == first
        assert first.receipt.exemplars == 2


@pytest.mark.parametrize("wrong", ["", "Default", "another", "x" * 100])
async def test_without_the_tenants_own_name_nothing_is_deleted(server, wrong):
    told = f"{wrong[:40]}..." if len(wrong) > 40 else wrong
    assert await refusal(server, deletion(wrong)) == (
        INVALID,
        f"confirmation: expected this tenant's name 'default', got {told!r}",
    )
    assert await goes_on(server)


async def test_another_tenant_deletes_itself_only(server):
    await ask(server, sets.CreateSupportSetRequest(name="mine"), metadata=ANOTHER)
    code, _ = await refusal(server, deletion("default"), metadata=ANOTHER)
    assert code is INVALID
    assert (await ask(server, deletion("another"), metadata=ANOTHER)).receipt.support_sets == 1
    assert await names(server, metadata=ANOTHER) == []
    assert await goes_on(server)
