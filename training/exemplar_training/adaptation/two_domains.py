"""Training on labelled source and unlabelled target images at once: CORAL, MMD, DANN, CDAN, MCC.

Cross-entropy on the source, plus a weight times a loss between the domains, which each method's
own file has. Shapes: S source and T target images, B either, D dim, K classes.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exemplar_training.adaptation.adabn import batch_norms
from exemplar_training.adaptation.adversarial import reversal_strength
from exemplar_training.errors import FitError
from exemplar_training.fit.augment import augmented
from exemplar_training.fit.frozen import learning
from exemplar_training.fit.method import Group
from exemplar_training.fit.network import Network
from exemplar_training.fit.supervised import classified

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from exemplar_training.backbones import Backbone
    from exemplar_training.config import RunConfig
    from exemplar_training.fit.method import Batch


@dataclass(frozen=True)
class Passed:
    """What the network makes of one domain's images."""

    embedding_BD: Tensor
    logits_BK: Tensor


class TwoDomains:
    """A `Method`. `between` gives the loss of two Passed, source and target, at a strength in 0..1.

    The strength rises as DANN's does, for all of them: what an untrained network says of the target
    is nothing to hold on to (so the code of Long et al. 2015, https://arxiv.org/abs/1502.02791).

    Each domain passes alone, and only the target's images move BatchNorm's running statistics. In a
    common batch each domain would be normalized by a mixture that neither has, and statistics of
    both in turn would be wrong for the one domain that is served.
    """

    def __init__(
        self, backbone: Backbone, head: nn.Module, between: nn.Module, config: RunConfig
    ) -> None:
        self._config = config
        self._between = between
        self._network = Network(backbone, head)
        self._network.add_module("between", between)
        trunk, size = backbone.trunk, backbone.spec.input_size
        self._learning = learning(trunk, config.model.trained, size)

    @property
    def module(self) -> nn.Module:
        return self._network

    def groups(self) -> list[Group]:
        blocks = self._learning.groups(self._config.model.layer_decay)
        others = [*self._network.head.parameters(), *self._between.parameters()]
        return [*blocks, Group(others)]

    def train(self) -> None:
        self._network.train()
        self._learning.train()

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Both losses; the share of the source that was right, and the loss between the domains."""
        if batch.target is None:
            raise FitError(f"{self._config.method}: expected images of a target, got none")
        with _statistics_stay(self._network):
            source = self._passed(batch)
        target = self._passed(batch.target)
        smoothing = self._config.supervised.label_smoothing
        supervised, told = classified(source.logits_BK, batch.class_ids_B, smoothing)
        strength = reversal_strength(batch.step / self._config.schedule.steps)
        between: Tensor = self._between(source, target, strength)
        loss = supervised + self._config.adaptation.weight * between
        return loss, {**told, "between": between.detach()}

    def after_step(self, step: int) -> None:
        pass

    def _passed(self, batch: Batch) -> Passed:
        image_BHWC = augmented(batch.image_BHWC, batch.uniform_BK, self._config.augment)
        embedding_BD = self._network.embed(image_BHWC)
        return Passed(embedding_BD, self._network.head(embedding_BD))


@contextmanager
def _statistics_stay(module: nn.Module) -> Iterator[None]:
    """BatchNorm layers in training mode normalize by their batch and do not remember it."""
    tracking = [layer for layer in batch_norms(module) if layer.track_running_stats]
    for layer in tracking:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in tracking:
            layer.track_running_stats = True
