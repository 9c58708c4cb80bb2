"""TENT: surer predictions at test time by the scale and shift of BatchNorm alone.

Wang et al. 2021, "Tent: Fully Test-Time Adaptation by Entropy Minimization",
https://arxiv.org/abs/2006.10726. Statistics are those of each target batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar_training.adaptation.adabn import batch_norms
from exemplar_training.errors import TrainingError

if TYPE_CHECKING:
    from torch import nn


def prepare(module: nn.Module) -> list[nn.Parameter]:
    """Leaves only BatchNorm's scales and shifts to train; returns them, for the optimizer.

    Raises:
        TrainingError: there are none.
    """
    module.eval()
    module.requires_grad_(requires_grad=False)
    parameters: list[nn.Parameter] = []
    for layer in batch_norms(module):
        layer.train()
        layer.requires_grad_(requires_grad=True)
        parameters += layer.parameters()
    if not parameters:
        raise TrainingError("TENT: expected BatchNorm layers with scale and shift, got none")
    return parameters
