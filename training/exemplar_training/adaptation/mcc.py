"""MCC: the least confusion between pairs of classes on target images.

Jin et al. 2020, "Minimum Class Confusion for Versatile Domain Adaptation", equations 2 to 7,
https://arxiv.org/abs/1912.03699.

Shapes: N images, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from exemplar_training.adaptation.two_domains import Passed

TEMPERATURE = 2.5


class Mcc(nn.Module):
    """The loss between the domains: `mcc_loss` of the target; the source's is supervised."""

    def forward(self, source: Passed, target: Passed, strength: float) -> Tensor:
        del source
        return strength * mcc_loss(target.logits_BK)


def mcc_loss(logits_NC: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """The share of confusion between different classes, in [0, 1]."""
    predicted_NC = (logits_NC / temperature).softmax(1)
    # Sure predictions count more, and no gradient flows through how much.
    entropy_N = -(predicted_NC * predicted_NC.clamp_min(1e-12).log()).sum(1).detach()
    weight_N = 1 + (-entropy_N).exp()
    weight_N = len(weight_N) * weight_N / weight_N.sum()
    confusion_CC = (predicted_NC * weight_N[:, None]).T @ predicted_NC
    confusion_CC = confusion_CC / confusion_CC.sum(1, keepdim=True)
    classes: int = logits_NC.shape[1]
    return (confusion_CC.sum() - confusion_CC.diagonal().sum()) / classes
