"""How well the runs of a study do on images that taught none.

Shapes: N images, B batch, H height, W width, C channels; X whatever a layer is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from exemplar_training.embedder import Embedder
from exemplar_training.fit.answers import logits, outputs
from exemplar_training.fit.trained import trained_backbone
from exemplar_training.layerwise.decoders import new_decoders, stack_of
from exemplar_training.layerwise.start import kept_decoders

if TYPE_CHECKING:
    from pathlib import Path

    from exemplar_training.backbones import Backbone
    from exemplar_training.data.image_set import ImageSet
    from exemplar_training.layerwise.decoders import Decoders

_NAME, _CELL = 14, 18


@dataclass(frozen=True)
class Row:
    """A run's errors, of those that it has: squared ones are means over images and values."""

    name: str
    layers: str
    error_of_given: float | None  # of what the last layer is given
    error_of_pixels: float | None
    share_wrong: float | None


def row_of(name: str, layers: str, run: Path, images: ImageSet) -> Row:
    """The errors of the run in this folder: of a stage, unrolled or supervised.

    Raises:
        TrainingError: no whole checkpoint, or an image that cannot be decoded.
    """
    if name == "supervised":
        is_wrong_N = logits(run, images).argmax(axis=1) != images.class_ids_N
        return Row(name, layers, None, None, float(is_wrong_N.mean()))
    of_given, of_pixels = reconstruction_errors(run, images)
    return Row(name, layers, None if name == "unrolled" else of_given, of_pixels, None)


def reconstruction_errors(run: Path, images: ImageSet) -> tuple[float, float]:
    """The mean squared error of what the last layer is given, and of the pixels; raises as that."""
    backbone = trained_backbone(run)
    decoders = new_decoders(stack_of(backbone, run.name), seed=0)
    decoders.load_state_dict(dict(kept_decoders(run)))
    size = backbone.spec.input_size
    of_given, of_pixels = outputs(_Errors(backbone, decoders), size, images, run.name).mean(axis=0)
    return float(of_given), float(of_pixels)


class _Errors(nn.Module):
    """uint8 (B, H, W, C) -> (B, 2): the squared errors of each image."""

    def __init__(self, backbone: Backbone, decoders: Decoders) -> None:
        super().__init__()
        self.embedder, self.decoders = Embedder(backbone), decoders
        self.stack = stack_of(backbone, backbone.spec.name)

    def forward(self, image_BHWC: Tensor) -> Tensor:
        image_BCHW = self.embedder.normalize(image_BHWC)
        pixels_BX, given_BX = self.stack.pixels(image_BCHW), self.stack.below_top(image_BCHW)
        code_BX = self.stack.top(given_BX)
        pairs = [
            (self.decoders[-1](code_BX).sigmoid(), given_BX),
            (self.decoders.decoded(code_BX), pixels_BX),
        ]
        return torch.stack([(a - b).square().flatten(1).mean(1) for a, b in pairs], dim=1)


def table(rows: list[Row], images: ImageSet) -> list[str]:
    """A line for each run; "-" is what a run has not."""
    heads = ("layers", "error of given", "error of pixels", "percent wrong")
    lines = [f"squared error and percent wrong on {len(images)} images of {images.name}"]
    lines.append("run".ljust(_NAME) + "".join(head.rjust(_CELL) for head in heads))
    for row in rows:
        errors = [_told(each) for each in (row.error_of_given, row.error_of_pixels)]
        wrong = "-" if row.share_wrong is None else f"{100 * row.share_wrong:.1f}"
        cells = (row.layers, *errors, wrong)
        lines.append(row.name.ljust(_NAME) + "".join(cell.rjust(_CELL) for cell in cells))
    return lines


def _told(error: float | None) -> str:
    return "-" if error is None else f"{error:.4f}"
