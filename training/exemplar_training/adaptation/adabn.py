"""AdaBN: a network's BatchNorm statistics, measured again on the target's images.

Li et al. 2016, "Revisiting Batch Normalization for Practical Domain Adaptation",
https://arxiv.org/abs/1603.04779. No weight changes.

Shapes: B batch, C channels, H, W.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from exemplar_training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterable


def batch_norms(module: nn.Module) -> list[_BatchNorm]:
    """The layers with running statistics, in the order of the network."""
    return [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]


def adapt_statistics(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replaces the running mean and variance by the plain average over `batches` (B, C, H, W).

    The module is in evaluation mode afterwards.

    Raises:
        TrainingError: no BatchNorm layer, or no batch.
    """
    layers = batch_norms(module)
    if not layers:
        raise TrainingError("AdaBN: expected a network with BatchNorm layers, got one without")
    momenta = [layer.momentum for layer in layers]
    module.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a cumulative average
        layer.train()
    count = 0
    with torch.no_grad():
        for image_BCHW in batches:
            module(image_BCHW)
            count += 1
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    module.eval()
    if not count:
        raise TrainingError("AdaBN: expected at least one batch of target images, got none")
