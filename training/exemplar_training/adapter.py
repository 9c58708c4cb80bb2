"""A small network on a backbone's embedding: what learns where images are few, or have no labels.

Shapes: N images, B batch, C channels, H height, W width, D dim of the backbone, A of the adapter.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from exemplar_training.embedder import powered, unit
from exemplar_training.errors import FitError
from exemplar_training.fit.network import dim_of

if TYPE_CHECKING:
    from exemplar_training.backbones import Backbone

# A channel that deviates less than this share of the one that deviates most is silent.
_SILENT = 1e-4
_SMALLEST = 1e-24  # keeps the gradient of a root finite where a channel is 0


class Adapter(nn.Module):
    """(B, D) -> (B, A): standardized by what it has measured, then a linear or a hidden layer."""

    mean_D: Tensor
    scale_D: Tensor

    def __init__(self, dim_before: int, dim: int, width: int) -> None:
        """`width` is that of the hidden layer; 0: there is none."""
        super().__init__()
        self.register_buffer("mean_D", torch.zeros(dim_before))
        self.register_buffer("scale_D", torch.ones(dim_before))
        hidden = [nn.Linear(dim_before, width), nn.BatchNorm1d(width), nn.ReLU()] if width else []
        self.layers = nn.Sequential(*hidden, nn.Linear(width or dim_before, dim))

    @property
    def is_measured(self) -> bool:
        return bool(self.mean_D.any())

    @torch.no_grad()
    def measure(self, embeddings_ND: Tensor) -> None:
        """Standardizes by the mean and deviation of these; silent channels are left out.

        Raises:
            FitError: the embeddings do not deviate at all.
        """
        if (embeddings_ND == embeddings_ND[0]).all():
            got = f"got {len(embeddings_ND)} that embed alike"
            raise FitError(f"model.adapter: expected images that differ, {got}")
        deviation_D = embeddings_ND.std(0)
        is_silent_D = deviation_D <= _SILENT * deviation_D.max()
        self.mean_D.copy_(embeddings_ND.mean(0))
        self.scale_D.copy_(deviation_D.reciprocal().masked_fill(is_silent_D, 0))

    def standardized(self, embedding_BD: Tensor) -> Tensor:
        return (embedding_BD - self.mean_D) * self.scale_D

    def forward(self, embedding_BD: Tensor) -> Tensor:
        adapted_BA: Tensor = self.layers(self.standardized(embedding_BD))
        return adapted_BA


class Adapted(nn.Module):
    """(B, C, H, W) -> (B, A): an adapter on what would be served without it."""

    def __init__(self, trunk: nn.Module, power: float, adapter: Adapter) -> None:
        super().__init__()
        self.trunk = trunk
        self.adapter = adapter
        self.power = power

    def below(self, image_BCHW: Tensor) -> Tensor:
        """What the adapter is given, (B, D) of unit length."""
        embedding_BD = self.trunk(image_BCHW)
        if self.power != 1:
            embedding_BD = embedding_BD.clamp_min(_SMALLEST)
        return unit(powered(embedding_BD, self.power))

    def forward(self, image_BCHW: Tensor) -> Tensor:
        adapted_BA: Tensor = self.adapter(self.below(image_BCHW))
        return adapted_BA


def with_adapter(backbone: Backbone, dim: int, width: int, seed: int) -> Backbone:
    """The backbone with an untrained adapter; equal for equal seeds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapter = Adapter(dim_of(backbone), dim, width)
    trunk = Adapted(backbone.trunk, backbone.spec.power, adapter).eval()
    # The adapter's output may be negative.
    return replace(backbone, trunk=trunk, spec=replace(backbone.spec, power=1.0), classifier=None)
