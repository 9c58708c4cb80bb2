"""SHOT: the source's classifier stays, and the network moves the target's images towards it.

Liang et al. 2020, "Do We Really Need to Access the Source Data?", equations 3 to 6,
https://arxiv.org/abs/2002.08546. Needs the source's weights only, not its images.

Shapes: N target images, B batch, D dim, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from exemplar_training.adaptation.entropy import diversity, entropy
from exemplar_training.fit.augment import augmented
from exemplar_training.fit.frozen import learning
from exemplar_training.fit.network import Network

if TYPE_CHECKING:
    from exemplar_training.backbones import Backbone
    from exemplar_training.config import RunConfig
    from exemplar_training.fit.batches import Batches
    from exemplar_training.fit.method import Batch, Group

ROUNDS = 2


class Shot:
    """A `Method`. The head is frozen; `adaptation.weight` is that of the pseudo-labels.

    The pseudo-labels of all images are a buffer, computed every `adaptation.relabel_steps`, by the
    network as it is served: a resumed run goes on with those it had. They start from the running
    statistics, so it helps to start from a run of AdaBN.
    """

    def __init__(
        self, backbone: Backbone, head: nn.Module, batches: Batches, config: RunConfig
    ) -> None:
        self._config, self._batches = config, batches
        self._network = Network(backbone, head)
        head.requires_grad_(requires_grad=False)
        trunk, size = backbone.trunk, backbone.spec.input_size
        self._learning = learning(trunk, config.model.trained, size)
        pseudo_N = torch.zeros(len(batches.images), dtype=torch.int64)
        self._network.register_buffer("pseudo_N", pseudo_N)

    @property
    def module(self) -> nn.Module:
        return self._network

    def groups(self) -> list[Group]:
        return self._learning.groups(self._config.model.layer_decay)

    def train(self) -> None:
        self._network.eval()
        self._learning.train()

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and the share of the batch whose prediction is its pseudo-label."""
        if batch.step % self._config.adaptation.relabel_steps == 0:
            self._relabel()
        logits_BC = self._network(
            augmented(batch.image_BHWC, batch.uniform_BK, self._config.augment)
        )
        pseudo_B = self._network.get_buffer("pseudo_N")[batch.rows_B]
        is_same_B = logits_BC.detach().argmax(1) == pseudo_B
        loss = shot_loss(logits_BC, pseudo_B, self._config.adaptation.weight)
        return loss, {"agreement": is_same_B.to(torch.float32).mean()}

    def after_step(self, step: int) -> None:
        pass

    @torch.no_grad()
    def _relabel(self) -> None:
        pseudo_N = self._network.get_buffer("pseudo_N")
        self._network.eval()
        parts = [self._network.embed(each.to(pseudo_N.device)) for each in self._batches.in_order()]
        embeddings_ND = torch.cat(parts)
        probabilities_NC = self._network.head(embeddings_ND).softmax(1)
        pseudo_N.copy_(pseudo_labels(embeddings_ND, probabilities_NC))
        self.train()


def shot_loss(logits_NC: Tensor, pseudo_N: Tensor, weight: float) -> Tensor:
    """Sure and diverse predictions that agree with the pseudo-labels (int64)."""
    information = entropy(logits_NC) - diversity(logits_NC)
    return information + weight * functional.cross_entropy(logits_NC, pseudo_N)


def pseudo_labels(embeddings_ND: Tensor, probabilities_NC: Tensor) -> Tensor:
    """The nearest of the target's own class centers, int64 (N,), for all target images at once.

    Centers are means weighted by the predictions, then by the pseudo-labels; distance is cosine.
    A class that no image is nearest to is left out.
    """
    unit_ND = functional.normalize(embeddings_ND)
    weights_NC = probabilities_NC
    labels_N = weights_NC.argmax(1)
    for _ in range(ROUNDS):
        centers_CD = functional.normalize(weights_NC.T @ unit_ND)
        similarities_NC = unit_ND @ centers_CD.T
        is_empty_C = weights_NC.sum(0) == 0
        labels_N = similarities_NC.masked_fill(is_empty_C, -torch.inf).argmax(1)
        weights_NC = functional.one_hot(labels_N, weights_NC.shape[1]).to(unit_ND.dtype)
    return labels_N
