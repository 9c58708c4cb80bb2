"""t-SNE: same seed, same map; neighbors stay neighbors; cancelling ends the process."""

import asyncio
import os
import signal
from contextlib import aclosing

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from exemplar_server.backends import tsne, tsne_worker
from exemplar_server.backends.tsne import TsneProcesses
from exemplar_server.core import maps
from exemplar_server.core.maps import MapOptions
from exemplar_server.errors import InternalError
from fakes import unit_rows

DIM = 16
SHORT = MapOptions(perplexity=10, iterations=25)
# Longer than any test waits: only cancelling ends it.
ENDLESS = MapOptions(perplexity=10, iterations=10**7)


def clusters(rows, spread=0.1, seed=1):
    """Unit vectors around two far directions, each a sheet: the first half is of one."""
    rows_ND = np.repeat(np.eye(2, DIM), rows // 2, axis=0)
    rows_ND[:, 2:4] += spread * np.random.default_rng(seed).normal(size=(rows, 2))
    return (rows_ND / np.linalg.norm(rows_ND, axis=1, keepdims=True)).astype(np.float32)


def computed(embeddings_ND, options):
    embedding, perplexity = tsne_worker.compute(embeddings_ND, options, lambda *_: None)
    return np.asarray(embedding), perplexity


async def drained(frames):
    return [frame async for frame in frames]


async def frames_of(embeddings_ND, options, workers=1):
    return await drained(TsneProcesses(workers).compute(embeddings_ND, options))


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def pids(monkeypatch):
    """The ids of the worker processes that were started."""
    started, start = [], asyncio.create_subprocess_exec

    async def recorded(*arguments, **options):
        process = await start(*arguments, **options)
        started.append(process.pid)
        return process

    monkeypatch.setattr(tsne.asyncio, "create_subprocess_exec", recorded)
    return started


def test_the_same_seed_gives_the_same_map():
    embeddings_ND = clusters(60)
    first, _ = computed(embeddings_ND, SHORT)
    np.testing.assert_array_equal(computed(embeddings_ND, SHORT)[0], first)


def test_neighbors_stay_neighbors_on_the_map():
    embeddings_ND = clusters(200)
    points_N2, _ = computed(embeddings_ND, MapOptions())
    assert trustworthiness(embeddings_ND, points_N2, n_neighbors=5) > 0.95


def test_two_clusters_stay_apart_on_the_map():
    points_N2, _ = computed(clusters(200), MapOptions())
    centers_22 = points_N2.reshape(2, 100, 2).mean(axis=1)
    to_own_N = np.linalg.norm(points_N2 - np.repeat(centers_22, 100, axis=0), axis=1)
    to_other_N = np.linalg.norm(points_N2 - np.repeat(centers_22[::-1], 100, axis=0), axis=1)
    assert (to_own_N < to_other_N).all()


@pytest.mark.parametrize(
    ("rows", "asked", "used"), [(40, 5.0, 5.0), (40, 30.0, 13.0), (4, 30.0, 1.0)]
)
def test_the_perplexity_used_fits_the_number_of_points(rows, asked, used):
    assert computed(clusters(rows), MapOptions(asked, iterations=1))[1] == used


def test_progress_goes_through_both_phases():
    reports = []
    tsne_worker.compute(clusters(20), SHORT, lambda *report: reports.append(report))
    assert {phase for phase, *_ in reports} == {maps.EARLY_EXAGGERATION, maps.OPTIMIZATION}
    iterations = [iteration for _, iteration, *_ in reports]
    assert iterations == sorted(iterations)
    assert reports[-1][1:3] == (275, 275)


async def test_a_process_computes_the_map_that_the_worker_computes():
    embeddings_ND = clusters(40)
    *progress, last = await frames_of(embeddings_ND, SHORT)
    np.testing.assert_allclose(last.points_N2, computed(embeddings_ND, SHORT)[0], atol=1e-4)
    assert last.perplexity == 10
    assert {frame.points_N2 is None for frame in progress} == {True}


async def test_a_map_of_many_points_arrives_whole():
    embeddings_ND = unit_rows(np.random.default_rng(2), 1600, 2)
    frames = await frames_of(embeddings_ND, MapOptions(perplexity=2, iterations=1))
    assert frames[-1].points_N2.shape == (1600, 2)


async def test_closing_the_iterator_ends_the_process(pids):
    async with aclosing(TsneProcesses(1).compute(clusters(40), ENDLESS)) as frames:
        await anext(frames)
        assert is_running(pids[0])
    assert not is_running(pids[0])


async def test_cancelling_the_call_ends_the_process(pids):
    has_begun = asyncio.Event()

    async def draw():
        async for _ in TsneProcesses(1).compute(clusters(40), ENDLESS):
            has_begun.set()

    call = asyncio.create_task(draw())
    await has_begun.wait()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert not is_running(pids[0])


async def test_a_map_that_waits_for_a_worker_says_so():
    maker = TsneProcesses(1)
    async with aclosing(maker.compute(clusters(40), ENDLESS)) as first:
        await anext(first)
        async with aclosing(maker.compute(clusters(40), SHORT)) as second:
            assert (await anext(second)).phase == maps.QUEUED


async def test_a_worker_is_free_again_after_a_cancelled_map():
    maker = TsneProcesses(1)
    async with aclosing(maker.compute(clusters(40), ENDLESS)) as first:
        await anext(first)
    frames = await drained(maker.compute(clusters(20), SHORT))
    assert frames[-1].points_N2.shape == (20, 2)


async def test_a_process_that_dies_is_an_internal_error(pids):
    frames = TsneProcesses(1).compute(clusters(40), ENDLESS)
    await anext(frames)
    os.kill(pids[0], signal.SIGKILL)
    with pytest.raises(InternalError, match="without a map"):
        await drained(frames)
