"""Batches of an ImageSet, each a function of the seed and its step: any step can be the first.

Shapes: N images, B images of this process, H height, W width, C channels, K numbers.
"""

from __future__ import annotations

import functools
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from exemplar_server.backends.images import ImageLimits, decode
from exemplar_server.errors import ExemplarError
from exemplar_training.errors import FitError
from exemplar_training.fit.augment import NUMBERS
from exemplar_training.fit.method import Batch

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from concurrent.futures import Future

    from numpy.typing import NDArray
    from torch import Tensor

    from exemplar_training.data.image_set import ImageSet

_LIMITS = ImageLimits(image_bytes=64 * 2**20, image_pixels=100_000_000)
_AHEAD = 2  # batches that wait decoded, a worker
_NO_PIXELS = torch.empty(0, 0, 0, 3, dtype=torch.uint8)


@dataclass(frozen=True)
class Shard:
    """Which part of every batch this process takes: each `count`th image from `index` on."""

    index: int = 0
    count: int = 1


@dataclass(frozen=True)
class Batches:
    """The images in a new order each epoch, cut into batches of `batch` images.

    Epochs follow each other without a gap, so every batch is full, even one that is larger than
    the set. `batch` counts the images of all shards together. `target` are batches of another
    domain, one for each of these. `kept_ND`, where it is there, has what stands for each image, or
    for each of its views, one image after the other: pixels are not decoded, and `image_BHWC` is
    empty. `numbers` are the uniform ones of an image.
    """

    images: ImageSet
    input_size: int
    batch: int
    seed: int
    shard: Shard = Shard()
    target: Batches | None = None
    kept_ND: Tensor | None = None
    numbers: int = NUMBERS

    def __post_init__(self) -> None:
        if not len(self.images):
            raise FitError(f"data: expected images in {self.images.name}, got none")
        if self.batch % self.shard.count:
            expected = f"a multiple of the {self.shard.count} processes"
            raise FitError(f"data.batch: expected {expected}, got {self.batch}")

    def epoch(self, step: int) -> float:
        """How often all images were seen before `step`."""
        return step * self.batch / len(self.images)

    def at(self, step: int) -> Batch:
        """This shard's part of batch `step`, counted from 0.

        Raises:
            FitError: an image cannot be decoded.
        """
        places_B = np.arange(self.shard.index, self.batch, self.shard.count)
        rows_B = [self._row(step * self.batch + int(place)) for place in places_B]
        return Batch(
            self.pixels(rows_B) if self.kept_ND is None else _NO_PIXELS,
            torch.from_numpy(self.images.class_ids_N[rows_B]),
            uniforms(self.seed, step, self.batch, self.numbers)[places_B],
            torch.tensor(rows_B),
            step,
            None if self.target is None else self.target.at(step),
        )

    def in_order(self) -> Iterator[Tensor]:
        """All images once, uint8 (B, H, W, C), whole batches in every process; raises as `at`."""
        for start in range(0, len(self.images), self.batch):
            yield self.pixels(range(start, min(start + self.batch, len(self.images))))

    def pixels(self, rows_B: Iterable[int]) -> Tensor:
        """These images, uint8 (B, H, W, C); raises as `at`."""
        return torch.from_numpy(np.stack([self._decoded(int(row)) for row in rows_B]))

    def stream(self, first_step: int, last_step: int, workers: int) -> Generator[Batch]:
        """Batches `first_step` .. `last_step` - 1 in order, decoded ahead by threads."""
        steps = range(first_step, last_step)
        if not workers:
            yield from map(self.at, steps)
            return
        pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
        try:
            yield from _ahead(pool, self, steps, workers * _AHEAD)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _row(self, place: int) -> int:
        """The image at this place of the endless row of epochs."""
        epoch, place_in_epoch = divmod(place, len(self.images))
        return int(_order(self.seed, epoch, len(self.images))[place_in_epoch])

    def _decoded(self, row: int) -> NDArray[np.uint8]:
        try:
            return decode(self.images.files[row], self.input_size, _LIMITS)
        except (ExemplarError, OSError) as error:
            raise FitError(f"{self.images.told(row)}: {error}") from error


def uniforms(seed: int, step: int, batch: int, numbers: int = NUMBERS) -> Tensor:
    """Float32 numbers in [0, 1), (batch, K), from nothing but the arguments."""
    generator = np.random.default_rng((seed, 1, step))
    return torch.from_numpy(generator.random((batch, numbers), np.float32))


@functools.lru_cache(maxsize=8)  # of two domains the epoch that is read, and its neighbors
def _order(seed: int, epoch: int, images: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, 0, epoch)).permutation(images)


def _ahead(pool: ThreadPoolExecutor, batches: Batches, steps: range, count: int) -> Iterator[Batch]:
    waiting: deque[Future[Batch]] = deque()
    for step in steps:
        waiting.append(pool.submit(batches.at, step))
        if len(waiting) > count:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
