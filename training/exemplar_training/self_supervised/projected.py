"""A backbone under a projection head, and a copy of both that follows them slowly.

Shapes: B batch, H height, W width, C channels, D dim, P dim of a projection.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from exemplar_training.fit.ema import move

if TYPE_CHECKING:
    from exemplar_training.embedder import Embedder


class Projected(nn.Module):
    """Pixels, or what was kept of them, -> float32 (B, P)."""

    def __init__(self, embedder: Embedder, projector: nn.Module) -> None:
        super().__init__()
        self.embedder = embedder
        self.projector = projector

    def forward(self, view: Tensor) -> Tensor:
        # Before the embedder's power and length: the root of 0 has no gradient.
        projection_BP: Tensor = self.projector(self.embedder.seen(view))
        return projection_BP.float()


class Follower(nn.Module):
    """A copy of `online` that no gradient moves: momentum encoder, target network.

    All its numbers are a moving average, BatchNorm's statistics too: what it sees in training
    normalizes its batch and is not remembered. So a follower is what `online` was, never a mixture
    of what two networks saw.
    """

    def __init__(self, online: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(online).requires_grad_(requires_grad=False)
        for layer in self.network.modules():
            if isinstance(layer, _BatchNorm):
                layer.track_running_stats = False

    def train_as(self, online: nn.Module) -> None:
        """In training mode where `online` is, in evaluation mode where it is frozen."""
        for own, other in zip(self.network.modules(), online.modules(), strict=True):
            own.training = other.training

    def follow(self, online: nn.Module, momentum: float) -> None:
        """Every number becomes momentum * own + (1 - momentum) * online; counters are copied."""
        move(self.network.state_dict(), online, 1 - momentum)

    @torch.no_grad()
    def forward(self, view: Tensor) -> Tensor:
        projection_BP: Tensor = self.network(view)
        return projection_BP

    @torch.no_grad()
    def distance(self, online: nn.Module) -> Tensor:
        """How far it is from `online`, as a share of the length of all parameters of `online`."""
        pairs = list(zip(online.parameters(), self.network.parameters(), strict=True))
        apart = sum(((one - own).float().square().sum() for one, own in pairs), torch.zeros(()))
        whole = sum((one.float().square().sum() for one, _ in pairs), torch.zeros(()))
        return (apart / whole).sqrt()
