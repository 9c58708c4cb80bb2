"""t-SNE in processes of its own: bounded in number, reporting progress, killed when unwanted.

A process a job: starting one takes 1.5 s of a job of up to a minute, ending one frees all that it
held, and killing one stops whatever it does. JSON lines and arrays go over its pipes;
backends/tsne_worker.py is the other end.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from exemplar_server.core import maps
from exemplar_server.core.maps import Layout, MapFrame, MapOptions, MapQuality
from exemplar_server.errors import InternalError

if TYPE_CHECKING:
    from asyncio import StreamReader
    from asyncio.subprocess import Process
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

    from numpy.typing import NDArray

# Sent at a time: a hundred megabytes at once would keep the event loop from answering queries.
BLOCK_BYTES = 2**18
# A worker has one thread: same seed, same map; and requests keep the other cores.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
ENDED = "the t-SNE process ended without its answer: its standard error has the reason"


class TsneProcesses:
    """Implements core.ports.MapMaker. One event loop only; any thread may read the counts.

    `observe` gets the seconds that each job held its worker.
    """

    def __init__(self, workers: int, observe: Callable[[float], None] = lambda _: None) -> None:
        self._free = asyncio.Semaphore(workers)
        self._observe = observe
        self.running = 0
        self.waiting = 0

    async def compute(
        self, embeddings_ND: NDArray[np.float32], codes_N: NDArray[np.int32], options: MapOptions
    ) -> AsyncGenerator[MapFrame | Layout]:
        if self._free.locked():
            yield MapFrame(maps.QUEUED, 0, 0, 0.0)
        async with self._worker("compute", asdict(options), embeddings_ND, codes_N) as stdout:
            async for line in stdout:
                message = json.loads(line)
                if "quality" in message:
                    points_N2 = await _points(stdout, len(embeddings_ND))
                    yield _layout(points_N2, **message)
                    return
                yield MapFrame(**message)
            raise InternalError(ENDED)

    async def place(
        self,
        embeddings_ND: NDArray[np.float32],
        points_N2: NDArray[np.float32],
        queries_QD: NDArray[np.float32],
        perplexity: float,
    ) -> NDArray[np.float32]:
        arrays = embeddings_ND, points_N2, queries_QD
        async with self._worker("place", {"perplexity": perplexity}, *arrays) as stdout:
            return await _points(stdout, len(queries_QD))

    @asynccontextmanager
    async def _worker(
        self, work: str, options: dict[str, Any], *arrays: NDArray[Any]
    ) -> AsyncIterator[StreamReader]:
        """The output of a process that does the work; it ends with the block."""
        job = {"work": work, "options": options, "arrays": [(a.dtype.str, a.shape) for a in arrays]}
        async with self._turn():
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "exemplar_server.backends.tsne_worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=os.environ | ONE_THREAD,
            )
            try:
                assert process.stdout is not None  # noqa: S101 - it is a pipe
                await _send(process, job, arrays)
                yield process.stdout
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                raise InternalError(ENDED) from error
            finally:
                if process.returncode is None:
                    process.kill()
                await process.wait()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        started = time.monotonic()
        try:
            yield
        finally:
            self._observe(time.monotonic() - started)
            self.running -= 1
            self._free.release()


async def _send(process: Process, job: dict[str, Any], arrays: Sequence[NDArray[Any]]) -> None:
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    process.stdin.write(json.dumps(job).encode() + b"\n")
    for array in arrays:
        values = np.ascontiguousarray(array).data.cast("B")
        for start in range(0, len(values), BLOCK_BYTES):
            process.stdin.write(values[start : start + BLOCK_BYTES])
            await process.stdin.drain()
    process.stdin.write_eof()


async def _points(stdout: StreamReader, count: int) -> NDArray[np.float32]:
    # Not on the line: a StreamReader's lines end at 64 KiB, some 1,500 points.
    values = await stdout.readexactly(2 * 4 * count)
    return np.frombuffer(values, np.float32).reshape(count, 2)


def _layout(
    points_N2: NDArray[np.float32],
    perplexity: float,
    kl_divergence: float,
    quality: dict[str, Any],
) -> Layout:
    return Layout(points_N2, perplexity, kl_divergence, MapQuality(**quality))
