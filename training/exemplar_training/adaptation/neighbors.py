"""Neighbors: an adapter that brings each image and its nearest neighbors together, without labels.

InfoNCE (van den Oord et al. 2018, https://arxiv.org/abs/1807.03748, equation 4) whose positive is
one of the image's nearest neighbors, as in NNCLR (Dwibedi et al. 2021,
https://arxiv.org/abs/2104.14548); here they are those of a frozen backbone and so need no queue:
SCAN's first observation (Van Gansbeke et al. 2020, https://arxiv.org/abs/2005.12320, section 2.1)
is that most of them are of one class.

Shapes: N images, B batch, D dim of the backbone, P principal components, K neighbors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from exemplar_training.adapter import Adapted
from exemplar_training.embedder import Embedder
from exemplar_training.errors import ConfigError
from exemplar_training.fit.frozen import learning
from exemplar_training.fit.kept import rows_of

if TYPE_CHECKING:
    from exemplar_training.backbones import Backbone
    from exemplar_training.config import RunConfig
    from exemplar_training.fit.batches import Batches
    from exemplar_training.fit.method import Batch, Group

_CHUNK = 1024  # rows of the similarity matrix in memory at a time


class Neighbors:
    """A `Method`. Only the adapter learns; what it starts from is found once.

    An image's negatives are the others of its process.
    """

    def __init__(self, backbone: Backbone, batches: Batches, config: RunConfig) -> None:
        """Raises ConfigError where there are no more images than neighbors to find."""
        if batches.kept_ND is None or not isinstance(backbone.trunk, Adapted):
            raise TypeError("expected a backbone with an adapter and what is kept below it")
        self._config = config
        self._adapter = backbone.trunk.adapter
        self._learning = learning(backbone.trunk, config.model.trained, backbone.spec.input_size)
        self._module = nn.ModuleDict({"embedder": Embedder(backbone)})
        self._kept_ND = batches.kept_ND
        count, images = config.neighbors.count, len(self._kept_ND)
        if count >= images:
            raise ConfigError(f"neighbors.count: expected fewer than {images} images, got {count}")
        self._nearest_NK = nearest(principal(self._kept_ND, config.neighbors.components), count)

    @property
    def module(self) -> nn.Module:
        return self._module

    def groups(self) -> list[Group]:
        return self._learning.groups(self._config.model.layer_decay)

    def train(self) -> None:
        self._module.eval()
        self._learning.train()

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and the share of the batch whose positive is the most similar of all."""
        count = self._config.neighbors.count
        drawn_B = (batch.uniform_BK[:, 0] * count).long().clamp_max(count - 1)
        positive_B = rows_of(self._nearest_NK, batch.rows_B).gather(1, drawn_B[:, None])[:, 0]
        both_BD = rows_of(self._kept_ND, torch.cat([batch.rows_B, positive_B]))
        one_BA, other_BA = self._adapter(both_BD).chunk(2)
        return info_nce(one_BA, other_BA, self._config.neighbors.temperature)

    def after_step(self, step: int) -> None:
        pass


def info_nce(
    one_BA: Tensor, other_BA: Tensor, temperature: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Row b's positive is row b of the other, its negatives are the other rows; both ways."""
    logits_BB = functional.normalize(one_BA) @ functional.normalize(other_BA).T / temperature
    own_B = torch.arange(len(logits_BB), device=logits_BB.device)
    there = functional.cross_entropy(logits_BB, own_B)
    back = functional.cross_entropy(logits_BB.T, own_B)
    is_first_B = logits_BB.detach().argmax(1) == own_B
    return (there + back) / 2, {"agreement": is_first_B.to(torch.float32).mean()}


def principal(embeddings_ND: Tensor, components: int) -> Tensor:
    """The embeddings' principal components, (N, P) as they are scaled, the least first."""
    centered_ND = embeddings_ND - embeddings_ND.mean(0)
    _, vectors_DD = torch.linalg.eigh(centered_ND.T @ centered_ND)  # ascending
    reduced_NP: Tensor = centered_ND @ vectors_DD[:, -components:]
    return reduced_NP


def nearest(embeddings_NP: Tensor, count: int) -> Tensor:
    """Each row's `count` nearest others by cosine, int64 (N, K), nearest first."""
    unit_NP = functional.normalize(embeddings_NP)
    found = []
    for start in range(0, len(unit_NP), _CHUNK):
        similarities_CN = unit_NP[start : start + _CHUNK] @ unit_NP.T
        rows = torch.arange(len(similarities_CN))
        similarities_CN[rows, start + rows] = -torch.inf
        found.append(similarities_CN.topk(count).indices)
    return torch.cat(found)
