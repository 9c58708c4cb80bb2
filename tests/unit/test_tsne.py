"""t-SNE in a process: same map as here, bounded in number, and gone when nobody waits for it."""

import asyncio
import os
import signal
from contextlib import aclosing

import numpy as np
import pytest

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


def codes(rows):
    """One label a half."""
    return np.repeat([0, 1], rows // 2).astype(np.int32)


def begun(maker, rows, options):
    return maker.compute(clusters(rows), codes(rows), options)


async def drained(frames):
    return [frame async for frame in frames]


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def pids(monkeypatch):
    """The ids of the worker processes that are started."""
    started, start = asyncio.Queue(), asyncio.create_subprocess_exec

    async def recorded(*arguments, **options):
        process = await start(*arguments, **options)
        started.put_nowait(process.pid)
        return process

    monkeypatch.setattr(tsne.asyncio, "create_subprocess_exec", recorded)
    return started


async def test_a_process_computes_the_map_that_the_worker_computes():
    *progress, layout = await drained(begun(TsneProcesses(1), 40, SHORT))
    here = tsne_worker.compute(clusters(40), codes(40), SHORT, lambda _: None)
    np.testing.assert_allclose(layout.points_N2, here.points_N2, atol=1e-4)
    assert (layout.perplexity, layout.quality) == (here.perplexity, here.quality)
    assert [frame.iteration for frame in progress] == [*range(0, 276, 25), 275]


async def test_a_map_of_many_points_arrives_whole():
    embeddings_ND = unit_rows(np.random.default_rng(2), tsne_worker.MANY, 2)
    codes_N = np.zeros(len(embeddings_ND), np.int32)
    options = MapOptions(perplexity=2, iterations=1)
    frames = await drained(TsneProcesses(1).compute(embeddings_ND, codes_N, options))
    assert frames[-1].points_N2.shape == embeddings_ND.shape


async def test_a_process_places_queries_as_the_worker_does():
    arrays = clusters(40), unit_rows(np.random.default_rng(3), 40, 2), clusters(4, seed=2)
    placed_Q2 = await TsneProcesses(1).place(*arrays, 5.0)
    np.testing.assert_allclose(placed_Q2, tsne_worker.place(*arrays, 5.0), atol=1e-4)


async def test_closing_the_iterator_ends_the_process_before_its_first_iteration(pids):
    async with aclosing(begun(TsneProcesses(1), 8000, ENDLESS)) as frames:
        assert (await anext(frames)).iteration == 0
        assert is_running(pid := await pids.get())
    assert not is_running(pid)


async def test_cancelling_ends_the_process_while_it_is_sent_its_work(pids):
    maker = TsneProcesses(1)
    call = asyncio.create_task(drained(begun(maker, 8000, ENDLESS)))
    pid = await pids.get()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert not is_running(pid)
    assert (maker.running, maker.waiting) == (0, 0)


async def test_cancelling_a_placement_ends_its_process(pids):
    arrays = clusters(8000), unit_rows(np.random.default_rng(3), 8000, 2), clusters(4, seed=2)
    call = asyncio.create_task(TsneProcesses(1).place(*arrays, 5.0))
    pid = await pids.get()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert not is_running(pid)


async def test_a_map_that_waits_for_a_worker_says_so():
    maker = TsneProcesses(1)
    async with aclosing(begun(maker, 40, ENDLESS)) as first:
        await anext(first)
        async with aclosing(begun(maker, 40, SHORT)) as second:
            assert (await anext(second)).phase == maps.QUEUED


async def test_a_worker_is_free_again_after_a_cancelled_map():
    seconds = []
    maker = TsneProcesses(1, seconds.append)
    async with aclosing(begun(maker, 40, ENDLESS)) as first:
        await anext(first)
        assert (maker.running, maker.waiting) == (1, 0)
    frames = await drained(begun(maker, 20, SHORT))
    assert frames[-1].points_N2.shape == (20, 2)
    assert len(seconds) == 2


async def test_a_process_that_dies_is_an_internal_error(pids):
    frames = begun(TsneProcesses(1), 40, ENDLESS)
    await anext(frames)
    os.kill(await pids.get(), signal.SIGKILL)
    with pytest.raises(InternalError, match="without its answer"):
        await drained(frames)
