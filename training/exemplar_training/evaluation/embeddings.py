"""Images to embeddings: by an artifact as the server runs it, or by what must lose to it.

Every image goes through the server's decoder. The only file of evaluation that runs a model file.
Shapes: N images, B batch, H height, W width, D dim, P pixel values.
"""

from __future__ import annotations

import queue
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from exemplar_server.backends.images import ImageLimits, decode
from exemplar_server.backends.onnx_backbone import (
    PROVIDERS,
    OnnxSession,
    available_cores,
    load_backbone,
)
from exemplar_server.errors import ExemplarError
from exemplar_training.errors import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from exemplar_server.core.artifact import Artifact
    from exemplar_training.data.image_set import ImageSet

    Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    # The first image's row and some images from it on, (B, H, W, C), to what a model is given.
    Shown = Callable[[int, NDArray[np.uint8]], NDArray[np.uint8]]

RAW_SIDE = 32
_RAW_BATCH = 64
_CPU_BATCH = 4
_LIMITS = ImageLimits()


def by_artifact(artifact: Artifact, images: ImageSet, told: str) -> NDArray[np.float32]:
    """The embeddings that the server would store, (N, D), in order; `told` names the progress bar.

    Raises:
        ArtifactError: the model cannot be loaded or fails its golden images.
        EvaluationError: an image cannot be decoded.
    """
    loaded = load_backbone(artifact, "auto", available_cores())
    side = artifact.manifest.input_size
    return _by_sessions(loaded.sessions, loaded.micro_batch, side, images, told)


def as_they_are(_start: int, image_BHWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image_BHWC


def by_model_file(
    model_path: Path, side: int, images: ImageSet, told: str, shown: Shown = as_they_are
) -> NDArray[np.float32]:
    """As `by_artifact`, on CPUs, of a model that has no manifest to be held to.

    An image is decoded at `side`; `shown` may make several of it, or smaller ones.
    """
    sessions = [OnnxSession(model_path, PROVIDERS["cpu"]) for _ in range(available_cores())]
    return _by_sessions(sessions, _CPU_BATCH, side, images, told, shown=shown)


def raw_pixels(images: ImageSet) -> NDArray[np.float32]:
    """The images at 32 x 32 x 3 as unit vectors, (N, P): what no backbone at all would answer."""
    threads = available_cores()
    return embed(images, RAW_SIDE, _flat, "raw pixels", batch=_RAW_BATCH, threads=threads)


def embed(
    images: ImageSet,
    side: int,
    run: Run,
    told: str,
    *,
    batch: int,
    threads: int,
    shown: Shown = as_they_are,
) -> NDArray[np.float32]:
    """`run` of all images, decoded at `side`, `batch` at a time in `threads` threads; (N, D).

    A progress bar named `told` on standard error where that is a terminal.
    """
    starts = range(0, len(images), batch)
    with (
        ThreadPoolExecutor(threads) as pool,
        tqdm(total=len(images), desc=told, unit="image", disable=None) as bar,
    ):
        parts = []

        def part(start: int) -> NDArray[np.float32]:
            return run(shown(start, _decoded(images, start, batch, side)))

        for start, part_BD in zip(starts, pool.map(part, starts), strict=True):
            parts.append(part_BD)
            bar.update(min(batch, len(images) - start))
    return np.concatenate(parts)


def _by_sessions(
    sessions: Sequence[OnnxSession],
    batch: int,
    side: int,
    images: ImageSet,
    told: str,
    *,
    shown: Shown = as_they_are,
) -> NDArray[np.float32]:
    """A thread for each session; a session belongs to one thread at a time."""
    free = queue.SimpleQueue[OnnxSession]()
    for session in sessions:
        free.put(session)

    def run(images_BHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        session = free.get()
        try:
            return session.run(images_BHWC)
        finally:
            free.put(session)

    threads = len(sessions)
    return embed(images, side, run, told, batch=batch, threads=threads, shown=shown)


def _decoded(images: ImageSet, start: int, batch: int, side: int) -> NDArray[np.uint8]:
    return np.stack(list(pixels(images, range(start, min(start + batch, len(images))), side)))


def pixels(images: ImageSet, rows: range, side: int) -> Iterator[NDArray[np.uint8]]:
    """The images of these rows as the server would see them, (H, W, 3), one at a time."""
    for row in rows:
        try:
            yield decode(images.files[row], side, _LIMITS)
        except ExemplarError as error:
            raise EvaluationError(f"{images.told(row)}: {error}") from error


def _flat(images_BHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    values_BP = images_BHWC.reshape(len(images_BHWC), -1).astype(np.float32)
    norms_B1 = np.linalg.norm(values_BP, axis=1, keepdims=True)
    unit_BP: NDArray[np.float32] = values_BP / np.maximum(norms_B1, 1)  # black stays zero
    return unit_BP
