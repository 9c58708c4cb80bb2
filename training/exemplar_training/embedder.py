"""The module that is exported: pixels in, unit-length embeddings out.

Shapes: B batch, H height, W width, C channels, D dim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from exemplar_training.backbones import Backbone

# The smallest norm that is divided by. An untrained network gives norms near 1e-14, which the
# usual floor of 1e-9 would leave far from unit length.
_SMALLEST_NORM = 1e-30
_SQUARE_ROOT = 0.5
_KEPT_DIMENSIONS = 2


class Embedder(nn.Module):
    """uint8 (B, H, W, 3) -> float32 (B, D) of unit length: normalize, backbone, power, L2.

    With a center, the mean of such embeddings, it is subtracted and the length is 1 again.
    """

    mean: Tensor
    std: Tensor
    center_D: Tensor | None

    def __init__(self, backbone: Backbone, center_D: Tensor | None = None) -> None:
        super().__init__()
        self.trunk = backbone.trunk
        self.power = backbone.spec.power
        self.register_buffer("mean", torch.tensor(backbone.spec.mean).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(backbone.spec.std).reshape(1, 3, 1, 1))
        self.register_buffer("center_D", center_D)

    def normalize(self, image: Tensor) -> Tensor:
        """Pixels uint8 (B, H, W, C) as the network wants them, float32 (B, C, H, W)."""
        image_BCHW = image.permute(0, 3, 1, 2).to(torch.float32)
        return (image_BCHW - self.mean) / self.std

    def seen(self, view: Tensor) -> Tensor:
        """What the trunk makes of pixels (B, H, W, C), or of what `kept` made of them.

        Before the power and the length.
        """
        if view.ndim == _KEPT_DIMENSIONS:
            adapted_BD: Tensor = self.trunk.adapter(view)  # type: ignore[operator]
            return adapted_BD
        seen_BD: Tensor = self.trunk(self.normalize(view))
        return seen_BD

    @torch.no_grad()
    def kept(self, image: Tensor) -> Tensor:
        """What the trunk gives its adapter, (B, D)."""
        kept_BD: Tensor = self.trunk.below(self.normalize(image))  # type: ignore[operator]
        return kept_BD

    def forward(self, image: Tensor) -> Tensor:
        embedding_BD = unit(powered(self.seen(image), self.power))
        return embedding_BD if self.center_D is None else unit(embedding_BD - self.center_D)


def unit(embedding_BD: Tensor) -> Tensor:
    """The embeddings at length 1."""
    norm_B1 = torch.linalg.vector_norm(embedding_BD, dim=1, keepdim=True)
    unit_BD: Tensor = embedding_BD / norm_B1.clamp_min(_SMALLEST_NORM)
    return unit_BD


def powered(embedding_BD: Tensor, power: float) -> Tensor:
    """Embeddings >= 0 to the power, which evens out their skew; 1 leaves them alone."""
    if power == 1:
        return embedding_BD
    at_least_0_BD = embedding_BD.clamp_min(0)
    return at_least_0_BD.sqrt() if power == _SQUARE_ROOT else at_least_0_BD.pow(power)
