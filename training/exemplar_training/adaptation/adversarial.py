"""DANN and CDAN: a discriminator that tells the domains apart, and a network that confuses it.

Ganin et al. 2016, "Domain-Adversarial Training of Neural Networks", https://arxiv.org/abs/1505.07818;
Long et al. 2018, "Conditional Adversarial Domain Adaptation", https://arxiv.org/abs/1705.10667.

Shapes: S source and T target images, N both, D dim, C classes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from exemplar_training.adaptation.two_domains import Passed


class Dann(nn.Module):
    """The loss between the domains: how well a judge tells their embeddings apart."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.judge = discriminator(dim)

    def forward(self, source: Passed, target: Passed, strength: float) -> Tensor:
        return domain_loss(self.judge, source.embedding_BD, target.embedding_BD, strength)


class Cdan(nn.Module):
    """As Dann; the judge sees embeddings with predictions."""

    def __init__(self, dim: int, class_count: int) -> None:
        super().__init__()
        self.judge = discriminator(dim * class_count)

    def forward(self, source: Passed, target: Passed, strength: float) -> Tensor:
        seen, other = (conditioned(each.embedding_BD, each.logits_BK) for each in (source, target))
        return domain_loss(self.judge, seen, other, strength)


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, value: Tensor, strength: float) -> Tensor:
        context.strength = strength
        return value.view_as(value)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -context.strength * gradients[0], None


def reverse_gradient(value: Tensor, strength: float) -> Tensor:
    """`value` itself; its gradient is multiplied by -strength."""
    reversed_: Tensor = _Reversal.apply(value, strength)  # type: ignore[no-untyped-call]
    return reversed_


def reversal_strength(progress: float) -> float:
    """0 at the start (`progress` 0), near 1 at the end (1): Ganin et al., section 5.2.2."""
    return 2 / (1 + math.exp(-10 * progress)) - 1


def discriminator(dim: int, width: int = 256) -> nn.Sequential:
    """(N, dim) -> (N, 1): the logit of being a source image."""
    return nn.Sequential(
        nn.Linear(dim, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)
    )


def domain_loss(judge: nn.Module, source_SD: Tensor, target_TD: Tensor, strength: float) -> Tensor:
    """What the judge minimizes and, through the reversed gradient, the network maximizes."""
    reversed_ND = reverse_gradient(torch.cat([source_SD, target_TD]), strength)
    is_source_N = torch.cat(
        [source_SD.new_ones(len(source_SD)), target_TD.new_zeros(len(target_TD))]
    )
    return functional.binary_cross_entropy_with_logits(judge(reversed_ND).squeeze(1), is_source_N)


def conditioned(embedding_ND: Tensor, logits_NC: Tensor) -> Tensor:
    """CDAN's input to the judge, (N, D * C): embeddings times predictions (its equation 5).

    The predictions carry no gradient, as in the authors' code.
    """
    predicted_NC = logits_NC.softmax(1).detach()
    return torch.einsum("nc,nd->ncd", predicted_NC, embedding_ND).flatten(1)
