"""MMD: the distance between the domains' mean embeddings under a mixture of Gaussian kernels.

Gretton et al. 2012, "A Kernel Two-Sample Test", lemma 6 (the unbiased statistic for equally many
samples); the mixture of bandwidths as in Long et al. 2015, "Learning Transferable Features with
Deep Adaptation Networks", https://arxiv.org/abs/1502.02791.

Shapes: B batch, D dim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from exemplar_training.errors import TrainingError

if TYPE_CHECKING:
    from exemplar_training.adaptation.two_domains import Passed

# Times the mean squared distance of the batch, so that some kernel sees structure at any scale.
BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)


class Mmd(nn.Module):
    """The loss between the domains: `mmd_loss` of their embeddings."""

    def forward(self, source: Passed, target: Passed, strength: float) -> Tensor:
        return strength * mmd_loss(source.embedding_BD, target.embedding_BD)


def mmd_loss(source_BD: Tensor, target_BD: Tensor) -> Tensor:
    """The squared distance, unbiased: zero on average where the domains are one, maybe below zero.

    Raises:
        TrainingError: batches of different size, or of a single image.
    """
    count = len(source_BD)
    if count != len(target_BD) or count < 2:  # noqa: PLR2004 - pairs of different images
        raise TrainingError(
            f"MMD: expected two batches of equal size, 2 or more, got {count} and {len(target_BD)}"
        )
    both_ND = torch.cat([source_BD, target_BD])
    squared_NN = torch.cdist(both_ND, both_ND).square()
    kernel_NN = _gaussians(squared_NN)
    within = kernel_NN[:count, :count] + kernel_NN[count:, count:]
    between = kernel_NN[:count, count:] + kernel_NN[count:, :count]
    pairs_BB = within - between
    off_diagonal = pairs_BB.sum() - pairs_BB.diagonal().sum()
    return off_diagonal / (count * (count - 1))


def _gaussians(squared_NN: Tensor) -> Tensor:
    count = len(squared_NN)
    # Without gradient: a bandwidth that learns would shrink the distance by itself.
    mean = squared_NN.detach().sum() / (count * (count - 1))
    kernels = [torch.exp(-squared_NN / (factor * mean).clamp_min(1e-12)) for factor in BANDWIDTHS]
    return torch.stack(kernels).mean(0)
