"""The way back, layer by layer: from a layer's values to those of the layer below.

A run keeps a decoder for every layer of its stack, so that a stack can be unrolled.
Shapes: B batch; X whatever a layer has before or after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from exemplar_training.errors import ConfigError
from exemplar_training.stacks import Stack

if TYPE_CHECKING:
    from exemplar_training.backbones import Backbone
    from exemplar_training.stacks import Layer


class Decoders(nn.ModuleList):
    """One for each layer, each gives logits of values in 0..1."""

    def decoded(self, code_BX: Tensor) -> Tensor:
        """From the code through all decoders down to the pixels, in 0..1."""
        values_BX = code_BX
        for decoder in reversed(self):
            values_BX = decoder(values_BX).sigmoid()
        return values_BX


def stack_of(backbone: Backbone, method: str) -> Stack:
    """The backbone's layers.

    Raises:
        ConfigError: something was put around them.
    """
    if not isinstance(backbone.trunk, Stack):
        expected = f"none with {method}, which learns from all that a layer says"
        raise ConfigError(f"model.pooled, model.adapter: expected {expected}, got some")
    return backbone.trunk


def new_decoders(stack: Stack, seed: int) -> Decoders:
    """Untrained ones; equal seeds give equal weights."""
    shapes = stack.shapes()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Decoders(map(_decoder, stack.layers, shapes))


def _decoder(layer: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """The transposed kind of layer, to values of `shape`."""
    affine = cast("Layer", layer).affine
    if isinstance(affine, nn.Linear):
        return nn.Linear(affine.out_features, affine.in_features)
    lost = (shape[-1] - 1) % affine.stride[0]  # sizes that become equal by rounding up
    return nn.ConvTranspose2d(
        affine.out_channels,
        affine.in_channels,
        affine.kernel_size,  # type: ignore[arg-type]
        affine.stride,  # type: ignore[arg-type]
        affine.padding,  # type: ignore[arg-type]
        output_padding=lost,
    )
