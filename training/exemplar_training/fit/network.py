"""What methods with a head train: pixels to embedding to logits.

Shapes: B batch, H height, W width, C channels, D dim, K classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from exemplar_training.embedder import Embedder

if TYPE_CHECKING:
    from exemplar_training.backbones import Backbone


class Network(nn.Module):
    """uint8 (B, H, W, C) -> logits (B, K)."""

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.embedder = Embedder(backbone)
        self.head = head

    def embed(self, image_BHWC: Tensor) -> Tensor:
        """What the head is given, (B, D)."""
        # Before the embedder's power and length: the root of 0 has no gradient.
        return self.embedder.seen(image_BHWC)

    def of_kept(self, kept_BD: Tensor) -> Tensor:
        """Logits (B, K) from what the frozen backbone gives its adapter."""
        logits_BK: Tensor = self.head(self.embedder.seen(kept_BD))
        return logits_BK

    def forward(self, image_BHWC: Tensor) -> Tensor:
        logits_BK: Tensor = self.head(self.embed(image_BHWC))
        return logits_BK


def dim_of(backbone: Backbone) -> int:
    size = backbone.spec.input_size
    with torch.no_grad():
        embedding_BD = backbone.trunk.eval()(torch.zeros(2, 3, size, size))
    return int(embedding_BD.shape[1])
