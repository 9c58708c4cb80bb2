"""Supervised training: cross-entropy of a linear or cosine classifier on the backbone's embedding.

Shapes: B batch, H height, W width, C channels, D dim, K classes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from exemplar_training.embedder import Embedder
from exemplar_training.fit.augment import augmented
from exemplar_training.fit.frozen import learning
from exemplar_training.fit.method import Group

if TYPE_CHECKING:
    from exemplar_training.backbones import Backbone
    from exemplar_training.config import RunConfig
    from exemplar_training.fit.method import Batch

# Gidaris & Komodakis 2018, https://arxiv.org/abs/1804.09458, section 3.2: learned, from 10 on.
_COSINE_SCALE = 10.0


class Supervised:
    """A `Method`: the frozen, half frozen or learning backbone under a new head."""

    def __init__(self, backbone: Backbone, class_count: int, config: RunConfig) -> None:
        self._config = config
        self._network = _Network(backbone, class_count, config)
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
        image_BHWC = augmented(batch.image_BHWC, batch.uniform_BK, self._config.augment)
        logits_BK = self._network(image_BHWC)
        loss: Tensor = functional.cross_entropy(
            logits_BK,
            batch.class_ids_B,
            label_smoothing=self._config.supervised.label_smoothing,
        )
        is_right_B = logits_BK.detach().argmax(dim=1) == batch.class_ids_B
        return loss, {"accuracy": is_right_B.to(torch.float32).mean()}

    def after_step(self, step: int) -> None:
        pass


class _Network(nn.Module):
    """uint8 (B, H, W, C) -> logits (B, K)."""

    def __init__(self, backbone: Backbone, class_count: int, config: RunConfig) -> None:
        super().__init__()
        self.embedder = Embedder(backbone)
        dim = _dim(backbone)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            is_cosine = config.supervised.classifier == "cosine"
            self.head = _Cosine(dim, class_count) if is_cosine else nn.Linear(dim, class_count)

    def forward(self, image_BHWC: Tensor) -> Tensor:
        # Before the embedder's power and length: the root of 0 has no gradient.
        embedding_BD = self.embedder.trunk(self.embedder.normalize(image_BHWC))
        logits_BK: Tensor = self.head(embedding_BD)
        return logits_BK


class _Cosine(nn.Module):
    """Logits (B, K): cosines to a learned direction a class, times a learned scale."""

    def __init__(self, dim: int, class_count: int) -> None:
        super().__init__()
        # Rows of about unit length: an optimizer with a fixed stride, as AdamW, turns longer ones
        # too slowly.
        self.weight_KD = nn.Parameter(torch.randn(class_count, dim) / math.sqrt(dim))
        self.scale = nn.Parameter(torch.tensor(_COSINE_SCALE))

    def forward(self, embedding_BD: Tensor) -> Tensor:
        unit_BD = functional.normalize(embedding_BD, dim=1)
        return self.scale * unit_BD @ functional.normalize(self.weight_KD, dim=1).T


def _dim(backbone: Backbone) -> int:
    size = backbone.spec.input_size
    with torch.no_grad():
        embedding_BD = backbone.trunk.eval()(torch.zeros(2, 3, size, size))
    return int(embedding_BD.shape[1])
