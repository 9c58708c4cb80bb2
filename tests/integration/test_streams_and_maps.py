"""Streams of answers: in order, no faster than they are taken, and gone with their caller."""

import asyncio
import re
import signal
import urllib.request

import grpc
import pytest

from exemplar.v1 import admin_pb2 as admin
from exemplar.v1 import classification_pb2 as classification
from exemplar.v1 import embedding_pb2 as embedding
from exemplar.v1 import map_pb2 as maps
from exemplar.v1 import support_set_pb2 as sets
from exemplar_server.backends import tsne
from exemplar_server.edge.streams import IN_WORK
from pictures import png
from rpc_calls import add, ask, classify

# Far more than fit into HTTP/2's windows: requests of 200 KB, answers of 100 KB.
MANY = 200
LARGE_REQUEST, LONG_NAME = bytes(200_000), 120 * "x"
CANCELLED = 'exemplar_call_seconds_count{{code="CANCELLED",method="exemplar.v1.{}"}}'
# Enough for whatever can go on to do so: each passes the server's event loop.
ROUND_TRIPS = 100
PATIENCE_SECONDS = 60


async def taught(server, images, label=""):
    """A support set of these images; number n is exemplar and label n."""
    await ask(server, sets.CreateSupportSetRequest(name="set"))
    new = [
        sets.NewExemplar(label=f"{label}{n}", image=image, exemplar_id=f"{n}")
        for n, image in enumerate(images)
    ]
    await ask(server, add(exemplars=new))


def question(*images, **options):
    """A request of a stream: the image's own exemplar is the answer."""
    queries = [classification.Query(image=image) for image in images]
    asked = classify(**{"queries": queries, "k": 1} | options)
    return classification.StreamClassifyRequest(request=asked)


async def metric(server, name):
    url = f"http://{server.metrics_address}/metrics"
    text = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)[1])


async def metric_reaches(server, name, value):
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await metric(server, name) != value:
            pass


# Streams


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


# Maps


async def drawn(server, **options):
    """The events of a map by kind: progress, points, the summary."""
    events = await ask(server, maps.ComputeMapRequest(support_set="set", **options))
    kinds = [event.WhichOneof("event") for event in events]
    assert kinds == sorted(kinds, key=["progress", "points", "summary"].index)
    progress = [e.progress for e in events if e.HasField("progress")]
    points = [point for e in events for point in e.points.points]
    return progress, points, events[-1].summary


def places(points):
    return {(point.x, point.y) for point in points}


@pytest.mark.parametrize(("count", "perplexity"), [(1, 0), (2, 0), (3, 0), (4, 1)])
async def test_a_map_of_few_points_shows_each_in_its_own_place(server, count, perplexity):
    await taught(server, [png(n) for n in range(count)])
    _, points, summary = await drawn(server)
    assert {(p.exemplar_id, p.label) for p in points} == {(f"{n}", f"{n}") for n in range(count)}
    assert len(places(points)) == count
    assert (summary.point_count, summary.perplexity, summary.revision) == (count, perplexity, 2)


async def test_a_map_of_equal_points_shows_each_in_its_own_place(server):
    await taught(server, [png(0)] * 30)
    progress, points, summary = await drawn(server)
    assert [p.phase for p in progress] == [maps.MAP_PHASE_DELIVERY]
    assert (len(places(points)), summary.perplexity) == (30, 0)


async def test_a_map_tells_its_progress_then_its_points_then_how_it_was_made(server):
    await taught(server, [png(n) for n in range(13)])
    progress, points, summary = await drawn(server, iterations=50, include_thumbnails=True)
    iterations = [p.iteration for p in progress]
    assert iterations == sorted(iterations)
    assert {p.total_iterations for p in progress} == {300}
    phases = [maps.MAP_PHASE_EARLY_EXAGGERATION, maps.MAP_PHASE_OPTIMIZATION]
    assert list(dict.fromkeys(p.phase for p in progress)) == [*phases, maps.MAP_PHASE_DELIVERY]
    assert len(places(points)) == summary.point_count == 13
    assert all(p.thumbnail.startswith(b"\xff\xd8\xff") for p in points)
    assert (summary.perplexity, summary.kl_divergence > 0) == (4, True)  # (13 - 1) / 3, not 30


async def test_a_map_is_answered_without_thumbnails_unless_asked_for(server):
    await taught(server, [png(0)])
    assert [p.thumbnail for p in (await drawn(server))[1]] == [b""]


@pytest.fixture
def processes(monkeypatch):
    """The processes that were started to compute maps."""
    started, start = [], asyncio.create_subprocess_exec

    async def recorded(*arguments, **options):
        started.append(await start(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(tsne.asyncio, "create_subprocess_exec", recorded)
    return started


async def test_a_cancelled_map_frees_its_worker_for_the_one_that_waits(server, processes):
    await taught(server, [png(n) for n in range(40)])
    first = server.maps.ComputeMap(maps.ComputeMapRequest(support_set="set", iterations=2000))
    await first.read()
    second = server.maps.ComputeMap(maps.ComputeMapRequest(support_set="set", iterations=1))
    assert (await second.read()).progress.phase == maps.MAP_PHASE_QUEUED
    first.cancel()
    last = None
    while (event := await second.read()) is not grpc.aio.EOF:
        last = event
    assert last.summary.point_count == 40
    assert processes[0].returncode == -signal.SIGKILL
    assert await metric(server, CANCELLED.format("MapService/ComputeMap")) == 1
