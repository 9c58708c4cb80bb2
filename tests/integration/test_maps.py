"""Maps of a support set: their events, few and equal points, one a tenant, gone when cancelled."""

import asyncio
import signal

import grpc
import pytest

from exemplar.v1 import map_pb2 as maps
from exemplar_server.backends import tsne
from pictures import png
from rpc_calls import CANCELLED, ask, metric, metric_reaches, refusal, taught

OTHER_TENANT = [("x-exemplar-tenant", "other")]


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


@pytest.fixture
async def drawing(server):
    """A map that goes on until it is cancelled."""
    await taught(server, [png(n) for n in range(40)])
    call = server.maps.ComputeMap(maps.ComputeMapRequest(support_set="set", iterations=2000))
    await call.read()
    yield call
    call.cancel()


async def test_a_cancelled_map_frees_its_worker_for_the_one_that_waits(server, processes, drawing):
    pictures = [png(n) for n in range(40)]
    await taught(server, pictures, metadata=OTHER_TENANT)
    request = maps.ComputeMapRequest(support_set="set", iterations=1)
    waiting = aiter(server.maps.ComputeMap(request, metadata=OTHER_TENANT))
    assert (await anext(waiting)).progress.phase == maps.MAP_PHASE_QUEUED
    assert await metric(server, "exemplar_maps_running") == 1
    assert await metric(server, "exemplar_maps_waiting") == 1
    drawing.cancel()
    *_, last = [event async for event in waiting]
    assert last.summary.point_count == 40
    assert processes[0].returncode == -signal.SIGKILL
    assert await metric(server, CANCELLED.format("MapService/ComputeMap")) == 1
    assert await metric(server, "exemplar_map_seconds_count") == 2


async def test_a_tenant_draws_one_map_at_a_time(server, drawing):
    code, message = await refusal(server, maps.ComputeMapRequest(support_set="set"))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert message.startswith("maps: expected one at a time")
    drawing.cancel()
    await metric_reaches(server, "exemplar_maps_running", 0)
    assert (await drawn(server, iterations=1))[2].point_count == 40
