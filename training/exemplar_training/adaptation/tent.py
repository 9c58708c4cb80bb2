"""TENT: surer predictions at test time by the scale and shift of BatchNorm alone.

Wang et al. 2021, "Tent: Fully Test-Time Adaptation by Entropy Minimization",
https://arxiv.org/abs/2006.10726.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar_training.adaptation.adabn import batch_norms
from exemplar_training.adaptation.entropy import entropy
from exemplar_training.errors import FitError
from exemplar_training.fit.method import Group
from exemplar_training.fit.network import Network

if TYPE_CHECKING:
    from torch import Tensor, nn

    from exemplar_training.backbones import Backbone
    from exemplar_training.fit.method import Batch


class Tent:
    """A `Method`. Images are not augmented: they are the test's.

    A step normalizes by its batch, as in the paper, and moves the running statistics towards it:
    those are served, where an image comes alone.

    Raises:
        FitError: the network has no BatchNorm with scale and shift.
    """

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        self._network = Network(backbone, head)
        self._layers = batch_norms(backbone.trunk)
        self._network.requires_grad_(requires_grad=False)
        for layer in self._layers:
            layer.requires_grad_(requires_grad=True)
        if not any(each.requires_grad for each in self._network.parameters()):
            raise FitError("tent: expected BatchNorm layers with scale and shift, got none")

    @property
    def module(self) -> nn.Module:
        return self._network

    def groups(self) -> list[Group]:
        return [Group([each for layer in self._layers for each in layer.parameters()])]

    def train(self) -> None:
        self._network.eval()
        for layer in self._layers:
            layer.train()

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        return entropy(self._network(batch.image_BHWC)), {}

    def after_step(self, step: int) -> None:
        pass
