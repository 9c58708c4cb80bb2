"""The backbones that are served: found, proved right, each with sessions and a queue of its own.

Each has as many sessions as there are cores, so that one alone may use them all; when several are
busy, the operating system shares the cores among their threads. An idle one costs memory only
(tests/bench/results/2026-11-25-upgrade.md).
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from exemplar_server.backends import images, onnx_backbone
from exemplar_server.core.admission import Admission
from exemplar_server.core.artifact import find_artifacts
from exemplar_server.core.embedder import Embedder
from exemplar_server.core.priority import lower_priority
from exemplar_server.core.scheduler import MicroBatcher

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AsyncExitStack

    import numpy as np
    from numpy.typing import NDArray

    from exemplar_server.core.artifact import Artifact
    from exemplar_server.edge.metrics import Metrics
    from exemplar_server.settings import Settings

log = structlog.get_logger()


@dataclass(frozen=True)
class Served:
    """A backbone that is ready: what embeds with it, and the queue before it.

    `background` embeds at a lower priority, on a thread that shares a session: for upgrades.
    """

    embedder: Embedder
    background: Embedder
    batchers: tuple[MicroBatcher, MicroBatcher]

    @property
    def label(self) -> str:
        return self.embedder.backbone.manifest.label

    def waiting(self) -> int:
        """Images that wait for a session."""
        return self.batchers[0].queue_length

    @property
    def is_alive(self) -> bool:
        return all(batcher.is_alive for batcher in self.batchers)


async def serve_backbones(
    settings: Settings, metrics: Metrics, admission: Admission, stack: AsyncExitStack
) -> list[Served]:
    """The backbones that the settings name, the default one first, until the stack is closed."""
    cores = settings.cores or onnx_backbone.available_cores()
    decode_threads = stack.enter_context(ThreadPoolExecutor(cores, thread_name_prefix="decode"))
    served = []
    for artifact in find_artifacts(settings.backbone_dir, settings.backbone):
        loaded = await asyncio.to_thread(
            onnx_backbone.load_backbone, artifact, settings.device, cores
        )
        _tell(loaded)
        decode = _decode(artifact, settings)
        batcher = MicroBatcher(
            loaded.sessions,
            decode,
            loaded.micro_batch,
            metrics.micro_batch_images.labels(artifact.manifest.label).observe,
            decode_threads.map if len(loaded.sessions) < cores else map,
        )
        spare = MicroBatcher(loaded.sessions[:1], decode, 1, begin=lower_priority)
        for one in (batcher, spare):
            stack.push_async_callback(one.stop)
        unseen = Admission(settings.queue_images, settings.queue_bytes)
        embedder = Embedder(loaded.backbone, batcher, admission)
        background = Embedder(loaded.backbone, spare, unseen)
        served.append(Served(embedder, background, (batcher, spare)))
    return served


def _decode(artifact: Artifact, settings: Settings) -> Callable[[bytes], NDArray[np.uint8]]:
    limits = images.ImageLimits(settings.image_bytes, settings.image_pixels)
    return partial(images.decode, input_size=artifact.manifest.input_size, limits=limits)


def _tell(loaded: onnx_backbone.LoadedBackbone) -> None:
    manifest = loaded.backbone.manifest
    log.info(
        "backbone_ready",
        name=manifest.name,
        version=manifest.version,
        fingerprint=manifest.fingerprint,
        execution_provider=loaded.backbone.execution_provider,
        sessions=len(loaded.sessions),
        micro_batch=loaded.micro_batch,
    )
