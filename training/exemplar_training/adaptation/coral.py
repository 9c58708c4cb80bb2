"""Deep CORAL: the distance between the domains' covariances.

Sun and Saenko 2016, "Deep CORAL", equation 1, https://arxiv.org/abs/1607.01719.

Shapes: S source and T target images, D dim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from exemplar_training.adaptation.two_domains import Passed


class Coral(nn.Module):
    """The loss between the domains: `coral_loss` of their embeddings."""

    def forward(self, source: Passed, target: Passed, strength: float) -> Tensor:
        return strength * coral_loss(source.embedding_BD, target.embedding_BD)


def coral_loss(source_SD: Tensor, target_TD: Tensor) -> Tensor:
    """The squared Frobenius distance of the covariances, over 4 D^2; at least two rows each."""
    difference_DD = torch.cov(source_SD.T) - torch.cov(target_TD.T)
    dim: int = source_SD.shape[1]
    return difference_DD.square().sum() / (4 * dim**2)
