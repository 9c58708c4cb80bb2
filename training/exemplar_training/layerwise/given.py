"""What learns is given: X~ of Algorithm 15.1, the values below the layer, without a gradient.

Shapes: N images, B batch, H height, W width, C channels; X whatever a layer is given.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from exemplar_training.embedder import Embedder
from exemplar_training.fit.kept import rows_of
from exemplar_training.layerwise.decoders import stack_of

if TYPE_CHECKING:
    from torch import Tensor

    from exemplar_training.backbones import Backbone
    from exemplar_training.config import RunConfig
    from exemplar_training.fit.batches import Batches
    from exemplar_training.fit.method import Batch
    from exemplar_training.stacks import Stack

_KEPT_BYTES = 2**29  # more is not kept but computed at each step


@dataclass(frozen=True)
class Given:
    """The values that a stage's last layer is given, or the pixels where the whole stack learns."""

    embedder: Embedder
    stack: Stack
    is_stage: bool
    kept_NX: Tensor | None = None

    def of(self, batch: Batch) -> Tensor:
        """(B, X), from what was kept where it was."""
        if self.kept_NX is not None:
            return rows_of(self.kept_NX, batch.rows_B)
        return self.of_images(batch.image_BHWC)

    @torch.no_grad()
    def of_images(self, image_BHWC: Tensor) -> Tensor:
        image_BCHW = self.embedder.normalize(image_BHWC)
        return (self.stack.below_top if self.is_stage else self.stack.pixels)(image_BCHW)


def with_kept(batches: Batches, backbone: Backbone, config: RunConfig) -> Batches:
    """The batches with X~ of all images, computed once, where it fits into memory."""
    stack = stack_of(backbone, config.method)
    shapes = stack.shapes()
    shape = shapes[-2] if config.is_stage else shapes[0]
    values = len(batches.images) * torch.Size(shape).numel()
    if values * torch.float32.itemsize > _KEPT_BYTES:
        return batches
    given = Given(Embedder(backbone), stack, config.is_stage)
    return replace(batches, kept_ND=torch.cat([given.of_images(p) for p in batches.in_order()]))
