"""Images to embeddings: admit, decode in threads, micro-batch."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exemplar_server.errors import ExemplarError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    import numpy as np
    from numpy.typing import NDArray

    from exemplar_server.core.admission import Admission
    from exemplar_server.core.artifact import Manifest
    from exemplar_server.core.scheduler import MicroBatcher


@dataclass(frozen=True)
class Backbone:
    """A backbone that is ready: what it is and what runs it."""

    manifest: Manifest
    execution_provider: str


@dataclass(frozen=True)
class Timings:
    """Milliseconds of a request's slowest image in each stage."""

    queue_ms: float = 0.0
    decode_ms: float = 0.0
    infer_ms: float = 0.0
    search_ms: float = 0.0


@dataclass(frozen=True)
class Embeddings:
    """One item an image, in order: its embedding (D,) or why there is none."""

    items: list[NDArray[np.float32] | ExemplarError]
    timings: Timings


@dataclass(frozen=True)
class _Item:
    result: NDArray[np.float32] | ExemplarError
    timings: Timings


class Embedder:
    """Embeds with one backbone. One event loop only."""

    def __init__(
        self,
        backbone: Backbone,
        decode: Callable[[bytes], NDArray[np.uint8]],
        decode_threads: Executor,
        batcher: MicroBatcher,
        admission: Admission,
    ) -> None:
        self.backbone = backbone
        self._decode = decode
        self._decode_threads = decode_threads
        self._batcher = batcher
        self._admission = admission

    async def embed(self, tenant: str, images: Sequence[bytes], deadline: float) -> Embeddings:
        """Embeds every image; one that fails costs only itself.

        Raises:
            OverloadedError: there is no room for the images now.
        """
        with self._admission.admit(images):
            items = await asyncio.gather(*(self._one(tenant, i, deadline) for i in images))
        return Embeddings([item.result for item in items], _slowest(items))

    async def _one(self, tenant: str, image: bytes, deadline: float) -> _Item:
        loop = asyncio.get_running_loop()
        try:
            image_HWC, decode_ms = await loop.run_in_executor(
                self._decode_threads, self._timed_decode, image
            )
            embedded = await self._batcher.embed(tenant, image_HWC, deadline)
        except ExemplarError as error:
            return _Item(error, Timings())
        timings = Timings(embedded.queue_ms, decode_ms, embedded.infer_ms)
        return _Item(embedded.embedding_D, timings)

    def _timed_decode(self, image: bytes) -> tuple[NDArray[np.uint8], float]:
        started = time.perf_counter()
        return self._decode(image), (time.perf_counter() - started) * 1e3


def _slowest(items: Sequence[_Item]) -> Timings:
    timings = [item.timings for item in items]
    return Timings(
        max((t.queue_ms for t in timings), default=0.0),
        max((t.decode_ms for t in timings), default=0.0),
        max((t.infer_ms for t in timings), default=0.0),
    )
