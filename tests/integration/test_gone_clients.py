"""Clients that leave before their answer: nothing of their work is left, and the server goes on."""

import asyncio
import re
import urllib.request

import grpc
import pytest
from PIL import Image

from exemplar.v1 import classification_pb2 as classification
from exemplar.v1 import embedding_pb2 as embedding
from exemplar.v1 import embedding_pb2_grpc
from exemplar.v1 import support_set_pb2 as sets
from pictures import encoded
from rpc_calls import add, begun, classify, goes_on, prepare

COUNT = 64
PATIENCE_SECONDS = 30
# Small to send, some 50 ms of work to decode: 64 of them are seconds that a caller can leave in.
LARGE = encoded(Image.new("L", (4000, 4000)))
LONG_REQUESTS = {
    "Embed": embedding.EmbedRequest(images=[LARGE] * COUNT),
    "Classify": classify(queries=[classification.Query(image=LARGE)] * COUNT),
    "AddExemplars": add(exemplars=[sets.NewExemplar(label="c", image=LARGE)] * COUNT),
}
each_long_request = pytest.mark.parametrize(
    "request_", list(LONG_REQUESTS.values()), ids=list(LONG_REQUESTS)
)


@pytest.fixture
async def server(server):
    await prepare(server)
    return server


async def metric(server, name):
    """The sum over a metric's labels."""
    url = f"http://{server.metrics_address}/metrics"
    text = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
    values = re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
    assert values, f"there is no metric {name}"
    return sum(map(float, values))


async def reaches(server, name, value):
    """Waits until the metric has the value."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await metric(server, name) != value:
            pass


async def assert_nothing_is_left(server):
    """No call, no image and no work for them: most of the 64 images never reach the model."""
    for name in ("calls_in_flight", "admitted_images", 'queue_images{backbone="tiny@1"}'):
        await reaches(server, f"exemplar_{name}", 0)
    assert await goes_on(server)
    assert await metric(server, 'exemplar_micro_batch_images_sum{backbone="tiny@1"}') < COUNT


@each_long_request
async def test_a_client_that_cancels_leaves_nothing_behind(server, request_):
    call = begun(server, request_)
    await reaches(server, "exemplar_admitted_images", COUNT)
    call.cancel()
    await assert_nothing_is_left(server)


async def test_a_deadline_that_passes_leaves_nothing_behind(server):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await begun(server, LONG_REQUESTS["Embed"], timeout=0.2)
    assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await assert_nothing_is_left(server)


async def test_a_connection_that_ends_leaves_nothing_behind(server):
    async with grpc.aio.insecure_channel(server.address) as channel:
        service = embedding_pb2_grpc.EmbeddingServiceStub(channel)
        call = service.Embed(LONG_REQUESTS["Embed"])
        await reaches(server, "exemplar_admitted_images", COUNT)
    assert call.cancelled()
    await assert_nothing_is_left(server)


async def test_a_stream_that_is_cancelled_leaves_nothing_behind(server):
    stream = server.classification.StreamClassify()
    await stream.write(classification.StreamClassifyRequest(request=classify()))
    assert len((await stream.read()).response.answers) == 2
    await stream.write(classification.StreamClassifyRequest(request=LONG_REQUESTS["Classify"]))
    await reaches(server, "exemplar_admitted_images", COUNT)
    stream.cancel()
    await assert_nothing_is_left(server)
