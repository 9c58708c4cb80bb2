"""A tenant that would store more than it may is told so, and that trying again is of no use."""

import grpc
import pytest

from exemplar.v1 import support_set_pb2 as sets
from pictures import png


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"tenant_exemplars": 2})


def addition(*ids):
    exemplars = [sets.NewExemplar(label="a", image=png(1), exemplar_id=i) for i in ids]
    return sets.AddExemplarsRequest(support_set="set", exemplars=exemplars)


async def test_a_batch_over_the_quota_is_refused_whole_and_for_good(server):
    await server.sets.CreateSupportSet(sets.CreateSupportSetRequest(name="set"))
    await server.sets.AddExemplars(addition("a"))
    with pytest.raises(grpc.aio.AioRpcError, match="up to 2 exemplars") as caught:
        await server.sets.AddExemplars(addition("b", "c"))
    trailers = dict(caught.value.trailing_metadata())
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert trailers["exemplar-reason"] == "QUOTA_EXCEEDED"
    assert trailers["grpc-retry-pushback-ms"] == "-1"
    assert (await server.sets.AddExemplars(addition("b"))).exemplar_count == 2
