"""Backbones that grow layer by layer: sigmoid layers on gray pixels, or strided convolutions.

Every layer's values lie in 0..1, as pixels do, so each layer can learn as the first one does. Only
the code, the last layer of an mlp, may be linear, as in Hinton & Salakhutdinov 2006,
https://www.cs.toronto.edu/~hinton/absps/science.pdf.
Shapes: B batch, C channels, H height, W width, D dim; X whatever a layer has before or after it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from exemplar_training import weights
from exemplar_training.backbones import Backbone, spec_of
from exemplar_training.errors import ConfigError

if TYPE_CHECKING:
    from exemplar_training.config import ModelConfig

_INPUT_SIZE = 28  # of MNIST, which all of this was first tried on
_KERNEL, _STRIDE = 3, 2
_BLACK, _WHITE = (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)  # pixels come as 0..1
Shape = tuple[int, ...]


class Layer(nn.Module):
    """(B, X) -> (B, X), in 0..1 unless it is linear."""

    def __init__(self, affine: nn.Linear | nn.Conv2d, *, is_linear: bool = False) -> None:
        super().__init__()
        self.affine = affine
        self.is_linear = is_linear

    def forward(self, below_BX: Tensor) -> Tensor:
        values_BX: Tensor = self.affine(below_BX)
        return values_BX if self.is_linear else values_BX.sigmoid()


class Stack(nn.Module):
    """(B, 3, H, W) in 0..1 -> (B, D): layers, one on the other; of maps the mean."""

    def __init__(self, layers: nn.Sequential, input_size: int) -> None:
        super().__init__()
        self.layers = layers
        self.input_size = input_size

    @property
    def top(self) -> Layer:
        """The last layer."""
        return cast("Layer", self.layers[-1])

    @property
    def is_flat(self) -> bool:
        return isinstance(self.top.affine, nn.Linear)

    def pixels(self, image_BCHW: Tensor) -> Tensor:
        """What the first layer is given: gray values (B, H * W), or the image as it is."""
        return image_BCHW.mean(1).flatten(1) if self.is_flat else image_BCHW

    def code(self, image_BCHW: Tensor) -> Tensor:
        """What the last layer says, (B, X)."""
        values_BX: Tensor = self.layers(self.pixels(image_BCHW))
        return values_BX

    def below_top(self, image_BCHW: Tensor) -> Tensor:
        """What the last layer is given, (B, X)."""
        values_BX: Tensor = self.layers[:-1](self.pixels(image_BCHW))
        return values_BX

    def forward(self, image_BCHW: Tensor) -> Tensor:
        code_BX = self.code(image_BCHW)
        return code_BX if self.is_flat else code_BX.mean([2, 3])

    def shapes(self) -> list[Shape]:
        """The X of the pixels, then of each layer's values."""
        image = torch.zeros(1, 3, self.input_size, self.input_size)
        with torch.no_grad():
            values = [self.pixels(image.to(self.top.affine.weight.device))]
            for layer in self.layers:
                values.append(layer(values[-1]))
        return [tuple(each.shape[1:]) for each in values]

    def lower(self, before: Stack) -> Stack:
        """Of this stack the layers that `before` has too, to be given their weights.

        Raises:
            ConfigError: as `model.init`, `before` is not what this stack can grow from.
        """
        expected, got = self.shapes(), before.shapes()
        is_code_inside = before.top.is_linear and len(got) < len(expected)
        if is_code_inside or got != expected[: len(got)]:
            told = f"a run of the first layers of {_told(expected)}"
            kind = ", the last of them linear" if is_code_inside else ""
            raise ConfigError(f"model.init: expected {told}, got one of {_told(got)}{kind}")
        return Stack(nn.Sequential(*list(self.layers)[: len(before.layers)]), self.input_size)


def _told(shapes: list[Shape]) -> str:
    return " - ".join(" x ".join(map(str, shape)) for shape in shapes)


def stack(model: ModelConfig, seed: int) -> Backbone:
    """The untrained backbone in evaluation mode; equal seeds give equal weights, layer by layer."""
    made = _mlp_layers if model.backbone == "mlp" else _conv_layers
    size = model.input_size or _INPUT_SIZE
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trunk = Stack(nn.Sequential(*made(model, size)), size).eval()
    spec = spec_of(weights.UNTRAINED, name=model.backbone, input_size=size, mean=_BLACK, std=_WHITE)
    return Backbone(spec, trunk, classifier=None)


def _mlp_layers(model: ModelConfig, size: int) -> list[Layer]:
    before = (size * size, *model.widths)
    last = len(model.widths) - 1
    return [
        Layer(nn.Linear(before[place], width), is_linear=model.has_linear_code and place == last)
        for place, width in enumerate(model.widths)
    ]


def _conv_layers(model: ModelConfig, _: int) -> list[Layer]:
    """Each layer has half the height and width, rounded up."""
    before = (3, *model.widths)
    padding = _KERNEL // 2
    return [
        Layer(nn.Conv2d(before[place], width, _KERNEL, _STRIDE, padding))
        for place, width in enumerate(model.widths)
    ]


def inputs_of_top(model: ModelConfig) -> int:
    """How many values the last layer is given for an image."""
    size = model.input_size or _INPUT_SIZE
    *below, _ = model.widths
    if model.backbone == "mlp":
        return below[-1] if below else size * size
    for _ in below:
        size = math.ceil(size / _STRIDE)
    return (below[-1] if below else 3) * size * size
