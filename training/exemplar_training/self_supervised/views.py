"""Views: what is shown of an image in a step, on its device, by its own uniform numbers.

Shapes: B batch, H height, W width, C channels, K numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from exemplar_training.errors import ConfigError
from exemplar_training.self_supervised.color import COLOR_NUMBERS, recolored
from exemplar_training.self_supervised.geometry import GEOMETRY_NUMBERS, looked_at

if TYPE_CHECKING:
    from exemplar_training.config import ViewsConfig
    from exemplar_training.fit.method import Batch
    from exemplar_training.self_supervised.domains import Domain

VIEW_NUMBERS = GEOMETRY_NUMBERS + COLOR_NUMBERS
PAIR_NUMBERS = 2 * VIEW_NUMBERS


@dataclass(frozen=True)
class Pairs:
    """Two views of each image, by numbers of their own."""

    domain: Domain
    side: int

    def of(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Uint8 (B, side, side, C) each, by the image's first PAIR_NUMBERS numbers."""
        first_BK, second_BK = batch.uniform_BK[:, :PAIR_NUMBERS].chunk(2, dim=1)
        image_BHWC = batch.image_BHWC
        return (
            view(image_BHWC, first_BK, self.domain, self.side),
            view(image_BHWC, second_BK, self.domain, self.side),
        )


def side_of(config: ViewsConfig, input_size: int) -> int:
    """Pixels a side of a view of images with `input_size` a side.

    Raises:
        ConfigError: images smaller than their views.
    """
    if config.side > input_size:
        expected = f"at most {input_size} pixels, the side of the images"
        raise ConfigError(f"views.side: expected {expected}, got {config.side}")
    return config.side or input_size


def view(image_BHWC: Tensor, uniform_BK: Tensor, domain: Domain, side: int) -> Tensor:
    """One view of each image by VIEW_NUMBERS numbers, uint8 (B, side, side, C)."""
    seen_BHWC = looked_at(image_BHWC, uniform_BK, domain, side)
    return as_pixels(recolored(seen_BHWC, uniform_BK[:, GEOMETRY_NUMBERS:], domain))


def as_pixels(image_BHWC: Tensor) -> Tensor:
    """What could be served: whole numbers 0..255."""
    return image_BHWC.round().clamp(0, 255).to(torch.uint8)
