"""EvaluateSupportSet over gRPC."""

import grpc
import pytest

from exemplar.v1 import evaluation_pb2 as pb
from exemplar.v1 import evaluation_pb2_grpc as rpc
from rpc_calls import prepare


async def test_labels_of_one_exemplar_have_no_recall_and_the_set_no_accuracy(server):
    await prepare(server)
    stub = rpc.EvaluationServiceStub(server.channel)
    found = await stub.EvaluateSupportSet(pb.EvaluateSupportSetRequest(support_set="set"))
    assert (found.exemplar_count, found.revision) == (2, 2)
    assert [(label.label, label.HasField("recall")) for label in found.labels] == [
        ("a", False),
        ("b", False),
    ]
    assert not found.HasField("accuracy")


@pytest.mark.parametrize("fields", [{"k": 0}, {"findings": 1001}, {"head": 99}])
async def test_a_wrong_field_is_refused(server, fields):
    await prepare(server)
    stub = rpc.EvaluationServiceStub(server.channel)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.EvaluateSupportSet(pb.EvaluateSupportSetRequest(support_set="set", **fields))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
