"""Streams of answers: in order, no faster than they are taken, and gone with their caller."""

import asyncio

import grpc
import pytest

from exemplar.v1 import admin_pb2 as admin
from exemplar.v1 import classification_pb2 as classification
from exemplar.v1 import embedding_pb2 as embedding
from exemplar_server.edge.streams import IN_WORK
from pictures import png
from rpc_calls import CANCELLED, classify, metric, metric_reaches, taught

# Far more than fit into HTTP/2's windows: requests of 200 KB, answers of 100 KB.
MANY = 200
LARGE_REQUEST, LONG_NAME = bytes(200_000), 120 * "x"
# Enough for whatever can go on to do so: each passes the server's event loop.
ROUND_TRIPS = 100


def question(*images, **options):
    """A request of a stream: the image's own exemplar is the answer."""
    queries = [classification.Query(image=image) for image in images]
    asked = classify(**{"queries": queries, "k": 1} | options)
    return classification.StreamClassifyRequest(request=asked)


async def test_answers_come_in_the_order_of_the_requests(server):
    await taught(server, [png(n) for n in range(8)])
    # Long requests before short ones: the short ones are done first.
    sizes = [1 + 31 * (n % 3 == 0) for n in range(30)]
    requests = [question(*[png(n % 8)] * size) for n, size in enumerate(sizes)]
    answers = [answer async for answer in server.classification.StreamClassify(iter(requests))]
    expected = [[f"{n % 8}"] * size for n, size in enumerate(sizes)]
    assert [[a.label for a in answer.response.answers] for answer in answers] == expected


async def test_a_stream_without_requests_ends_without_answers(server):
    assert [a async for a in server.classification.StreamClassify(iter([]))] == []


async def test_a_request_is_answered_while_the_next_is_not_yet_asked(server):
    await taught(server, [png(0), png(1)])
    stream = server.classification.StreamClassify()
    for n in (1, 0):
        await stream.write(question(png(n)))
        assert (await stream.read()).response.answers[0].label == f"{n}"
    await stream.done_writing()
    assert await stream.read() is grpc.aio.EOF


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (question(png(1), support_set="nowhere"), embedding.ERROR_REASON_NOT_FOUND),
        (question(png(1), k=0), embedding.ERROR_REASON_INVALID_INPUT),
        (question(), embedding.ERROR_REASON_INVALID_INPUT),
        (classification.StreamClassifyRequest(), embedding.ERROR_REASON_INVALID_INPUT),
    ],
    ids=["no such support set", "wrong k", "no queries", "no request"],
)
async def test_a_bad_request_gets_an_error_in_its_place_and_the_stream_goes_on(server, bad, reason):
    await taught(server, [png(0), png(1)])
    requests = [question(png(0)), bad, question(png(1))]
    one, wrong, other = [a async for a in server.classification.StreamClassify(iter(requests))]
    assert (wrong.error.reason, bool(wrong.error.message)) == (reason, True)
    assert [a.response.answers[0].label for a in (one, other)] == ["0", "1"]


async def test_a_bad_image_costs_itself_only(server):
    await taught(server, [png(0), png(1)])
    requests = [question(png(1), b"no image", png(0)), question(png(1))]
    mixed, after = [a async for a in server.classification.StreamClassify(iter(requests))]
    assert [a.label for a in mixed.response.answers] == ["1", "", "0"]
    assert mixed.response.answers[1].error.reason == embedding.ERROR_REASON_UNDECODABLE_IMAGE
    assert after.response.answers[0].label == "1"


class Unread:
    """A stream that asks as fast as it may and reads only when told to."""

    def __init__(self, server):
        self.server = server
        self.written = 0
        self.stream = server.classification.StreamClassify()
        self._writer = asyncio.create_task(self._write())

    async def _write(self):
        queries = [png(0)] * 10 + [LARGE_REQUEST]
        while self.written < MANY:
            await self.stream.write(question(*queries, k=50, include_neighbors=True))
            self.written += 1

    async def standstill(self):
        """Waits until nothing moves any more; the requests that the server has worked on."""
        before, same = self.written, 0
        while same < ROUND_TRIPS:
            await self.server.server.GetServerInfo(admin.GetServerInfoRequest())
            same = same + 1 if self.written == before else 0
            before = self.written
        return await metric(self.server, 'exemplar_stage_seconds_count{stage="search"}')

    async def leave(self):
        self.stream.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)


@pytest.fixture
async def unread(server):
    await taught(server, [png(n) for n in range(50)], LONG_NAME)
    client = Unread(server)
    yield client
    await client.leave()


async def test_a_client_that_does_not_read_cannot_write_on(unread):
    worked_on = await unread.standstill()
    assert worked_on < unread.written < MANY / 2


async def test_the_server_reads_on_when_answers_are_taken(unread):
    before, written = await unread.standstill(), unread.written
    for _ in range(IN_WORK):
        assert len((await unread.stream.read()).response.answers) == 11
    assert await unread.standstill() > before
    assert unread.written > written


async def test_a_client_that_leaves_without_reading_leaves_nothing_behind(unread):
    await unread.standstill()
    await unread.leave()
    await metric_reaches(unread.server, "exemplar_calls_in_flight", 0)
    assert (
        await metric(unread.server, CANCELLED.format("ClassificationService/StreamClassify")) == 1
    )
    running = [task.get_coro().__qualname__ for task in asyncio.all_tasks()]
    assert [name for name in running if "in_order" in name or "Classify" in name] == []
