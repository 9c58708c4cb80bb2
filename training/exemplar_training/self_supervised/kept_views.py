"""Views that are made once: a frozen backbone embeds them, and its adapter learns from that alone.

A step costs no pass through the backbone. Shapes: N images with V views each, B batch, K numbers,
D dim of the backbone without its adapter, H height, W width, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from exemplar_training.fit.kept import embedded_below_adapter, rows_of
from exemplar_training.self_supervised.domains import domain_of
from exemplar_training.self_supervised.views import VIEW_NUMBERS, Pairs, side_of, view

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from exemplar_training.backbones import Backbone
    from exemplar_training.config import RunConfig, ViewsConfig
    from exemplar_training.data.image_set import ImageSet
    from exemplar_training.fit.batches import Batches
    from exemplar_training.fit.method import Batch


@dataclass(frozen=True)
class KeptPairs:
    """Two of the `count` views that are kept of each image: never the same."""

    kept_ND: Tensor
    count: int

    def of(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Float32 (B, D) each, by the image's first two numbers."""
        first_B = _drawn(batch.uniform_BK[:, 0], self.count)
        second_B = (first_B + 1 + _drawn(batch.uniform_BK[:, 1], self.count - 1)) % self.count
        start_B = batch.rows_B * self.count
        return rows_of(self.kept_ND, start_B + first_B), rows_of(self.kept_ND, start_B + second_B)


def pairs_of(config: ViewsConfig, batches: Batches) -> Pairs | KeptPairs:
    """Raises ConfigError where images are smaller than their views."""
    if batches.kept_ND is not None:
        return KeptPairs(batches.kept_ND, config.kept)
    return Pairs(domain_of(config), side_of(config, batches.input_size))


def views_below_adapter(backbone: Backbone, images: ImageSet, config: RunConfig) -> Tensor:
    """The embeddings that `backbone` gives its adapter of V views of each image, by the seed.

    Float32 (N * V, D) of unit length, an image's views one after the other.

    Raises:
        ConfigError: images are smaller than their views.
        EvaluationError: an image cannot be decoded.
    """
    domain, count = domain_of(config.views), config.views.kept
    side = side_of(config.views, backbone.spec.input_size)
    generator = np.random.default_rng((config.seed, 4))
    uniform_NVK = torch.from_numpy(
        generator.random((len(images), count, VIEW_NUMBERS), dtype=np.float32)
    )

    def shown(start: int, image_BHWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        repeated = torch.from_numpy(image_BHWC).repeat_interleave(count, dim=0)
        numbers = uniform_NVK[start : start + len(image_BHWC)].flatten(0, 1)
        result: NDArray[np.uint8] = view(repeated, numbers, domain, side).numpy()
        return result

    return embedded_below_adapter(backbone, images, side, shown)


def _drawn(uniform_B: Tensor, count: int) -> Tensor:
    # In float32 the highest number below 1, times `count`, can be `count`.
    return (uniform_B * count).long().clamp_max(count - 1)
