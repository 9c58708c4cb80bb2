"""AdaBN: a network's BatchNorm statistics, measured again on the target's images.

Li et al. 2016, "Revisiting Batch Normalization for Practical Domain Adaptation",
https://arxiv.org/abs/1603.04779. No weight changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from exemplar_training.adaptation.entropy import entropy
from exemplar_training.errors import FitError
from exemplar_training.fit.network import Network

if TYPE_CHECKING:
    from torch import Tensor, nn

    from exemplar_training.backbones import Backbone
    from exemplar_training.fit.method import Batch, Group


def batch_norms(module: nn.Module) -> list[_BatchNorm]:
    """The layers with running statistics, in the order of the network."""
    return [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]


class AdaBN:
    """A `Method`: running mean and variance become the plain average over all batches.

    Images are not augmented: the statistics are of images as they are served.

    Raises:
        FitError: the network has no BatchNorm.
    """

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        self._network = Network(backbone, head)
        self._layers = batch_norms(backbone.trunk)
        if not self._layers:
            raise FitError("adabn: expected a backbone with BatchNorm layers, got one without")
        self._network.requires_grad_(requires_grad=False)
        for layer in self._layers:
            layer.reset_running_stats()
            layer.momentum = None  # a cumulative average

    @property
    def module(self) -> nn.Module:
        return self._network

    def groups(self) -> list[Group]:
        return []

    def train(self) -> None:
        self._network.eval()
        for layer in self._layers:
            layer.train()

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean entropy of the predictions: nothing minimizes it, but it tells how sure."""
        with torch.no_grad():
            return entropy(self._network(batch.image_BHWC)), {}

    def after_step(self, step: int) -> None:
        pass
