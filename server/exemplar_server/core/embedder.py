"""Images to embeddings: admit, queue, wait for the micro-batches."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exemplar_server.core.base_prototypes import NO_BASE
from exemplar_server.errors import DeadlineExceededError, ExemplarError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from exemplar_server.core.admission import Admission
    from exemplar_server.core.artifact import Manifest
    from exemplar_server.core.base_prototypes import BasePrototypes
    from exemplar_server.core.scheduler import Embedded, MicroBatcher

LONGEST_SECONDS = 600.0


@dataclass(frozen=True)
class Backbone:
    """A backbone that is ready: what it is and what runs it."""

    manifest: Manifest
    execution_provider: str
    base: BasePrototypes = NO_BASE


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


class Embedder:
    """Embeds with one backbone. One event loop only."""

    def __init__(self, backbone: Backbone, batcher: MicroBatcher, admission: Admission) -> None:
        self.backbone = backbone
        self._batcher = batcher
        self._admission = admission

    async def embed(self, tenant: str, images: Sequence[bytes], deadline: float) -> Embeddings:
        """Embeds every image; one that fails costs only itself.

        `deadline` is in seconds of the event loop's clock; a request ends after 600 s without one.

        Raises:
            DeadlineExceededError: it passed; images that still waited are not run.
            NotServingError: the model sessions were stopped.
            OverloadedError: there is no room for the images now.
        """
        with self._admission.admit(tenant, images):
            try:
                latest = asyncio.get_running_loop().time() + LONGEST_SECONDS
                async with asyncio.timeout_at(min(deadline, latest)):
                    embedded = await asyncio.gather(
                        *(self._batcher.submit(tenant, image) for image in images)
                    )
            except TimeoutError:
                raise DeadlineExceededError("deadline: passed before the model was free") from None
        return Embeddings([one.result for one in embedded], _slowest(embedded))


def _slowest(embedded: Sequence[Embedded]) -> Timings:
    return Timings(
        max((one.queue_ms for one in embedded), default=0.0),
        max((one.decode_ms for one in embedded), default=0.0),
        max((one.infer_ms for one in embedded), default=0.0),
    )
