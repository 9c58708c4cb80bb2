"""Supervised training: cross-entropy of a linear or cosine classifier on the backbone's embedding.

Shapes: B batch, H height, W width, C channels, K classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from exemplar_training.fit.augment import TURNS, augmented, turned
from exemplar_training.fit.frozen import learning
from exemplar_training.fit.head import shape_of
from exemplar_training.fit.kept import rows_of
from exemplar_training.fit.method import Group
from exemplar_training.fit.network import Network

if TYPE_CHECKING:
    from exemplar_training.backbones import Backbone
    from exemplar_training.config import RunConfig
    from exemplar_training.fit.batches import Batches
    from exemplar_training.fit.method import Batch


class Supervised:
    """A `Method`: the frozen, half frozen or learning backbone under a new head."""

    def __init__(
        self, backbone: Backbone, head: nn.Module, batches: Batches, config: RunConfig
    ) -> None:
        self._config = config
        self._kept_ND = batches.kept_ND
        self._network = Network(backbone, head)
        trunk, size = backbone.trunk, backbone.spec.input_size
        self._learning = learning(trunk, config.model.trained, size)

    @property
    def module(self) -> nn.Module:
        return self._network

    def groups(self) -> list[Group]:
        blocks = self._learning.groups(self._config.model.layer_decay)
        return [*blocks, Group(list(self._network.head.parameters()))]

    def train(self) -> None:
        self._network.train()
        self._learning.train()

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy, and the share of the batch that was right before the step."""
        smoothing = self._config.supervised.label_smoothing
        if self._config.supervised.turned:
            batch = turned(batch, shape_of(self._network.head)[0] // TURNS)
        return classified(self._logits(batch), batch.class_ids_B, smoothing)

    def after_step(self, step: int) -> None:
        pass

    def _logits(self, batch: Batch) -> Tensor:
        if self._kept_ND is not None:
            return self._network.of_kept(rows_of(self._kept_ND, batch.rows_B))
        image_BHWC = augmented(batch.image_BHWC, batch.uniform_BK, self._config.augment)
        logits_BK: Tensor = self._network(image_BHWC)
        return logits_BK


def classified(
    logits_BK: Tensor, class_ids_B: Tensor, label_smoothing: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """The cross-entropy, and the share that is right."""
    loss = functional.cross_entropy(logits_BK, class_ids_B, label_smoothing=label_smoothing)
    is_right_B = logits_BK.detach().argmax(dim=1) == class_ids_B
    return loss, {"accuracy": is_right_B.to(torch.float32).mean()}
