"""t-SNE in processes of its own: bounded in number, reporting progress, killed when unwanted.

Numpy arrays and JSON lines go over the worker's pipes; backends/tsne_worker.py is the other end.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core import maps
from exemplar_server.core.maps import MapFrame, MapOptions
from exemplar_server.errors import InternalError

if TYPE_CHECKING:
    from asyncio import StreamReader
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

    from numpy.typing import NDArray


class TsneProcesses:
    """Implements core.ports.MapMaker. One event loop only."""

    def __init__(self, workers: int) -> None:
        self._free = asyncio.Semaphore(workers)

    async def compute(
        self, embeddings_ND: NDArray[np.float32], options: MapOptions
    ) -> AsyncIterator[MapFrame]:
        if self._free.locked():
            yield MapFrame(maps.QUEUED, 0, 0, 0.0)
        async with self._free:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "exemplar_server.backends.tsne_worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            try:
                async for frame in _frames(process, embeddings_ND, options):
                    yield frame
            finally:
                if process.returncode is None:
                    process.kill()
                await process.wait()


async def _frames(
    process: Process, embeddings_ND: NDArray[np.float32], options: MapOptions
) -> AsyncIterator[MapFrame]:
    assert process.stdin is not None and process.stdout is not None  # noqa: PT018, S101 - both are pipes
    header = asdict(options) | {"shape": embeddings_ND.shape}
    process.stdin.write(json.dumps(header).encode() + b"\n")
    process.stdin.write(embeddings_ND.astype("<f4").tobytes())
    process.stdin.write_eof()
    async for line in process.stdout:
        frame = MapFrame(**json.loads(line))
        if frame.perplexity:
            yield replace(frame, points_N2=await _points(process.stdout, len(embeddings_ND)))
            return
        yield frame
    raise InternalError("the t-SNE process ended without a map")


async def _points(stdout: StreamReader, count: int) -> NDArray[np.float32]:
    # Not on the line: a StreamReader's lines end at 64 KiB, some 1,500 points.
    values = await stdout.readexactly(2 * 4 * count)
    return np.frombuffer(values, "<f4").reshape(count, 2)
