"""SHOT: the source's classifier stays, and the network moves the target's images towards it.

Liang et al. 2020, "Do We Really Need to Access the Source Data?", equations 3 to 6,
https://arxiv.org/abs/2002.08546. Needs the source's weights only, not its images.

Shapes: N target images, D dim, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from exemplar_training.adaptation.entropy import diversity, entropy

PSEUDO_LABEL_WEIGHT = 0.3
ROUNDS = 2


def shot_loss(logits_NC: Tensor, pseudo_N: Tensor, weight: float = PSEUDO_LABEL_WEIGHT) -> Tensor:
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
    labels_N = torch.zeros(len(unit_ND), dtype=torch.int64)
    for _ in range(ROUNDS):
        centers_CD = functional.normalize(weights_NC.T @ unit_ND)
        similarities_NC = unit_ND @ centers_CD.T
        is_empty_C = weights_NC.sum(0) == 0
        labels_N = similarities_NC.masked_fill(is_empty_C, -torch.inf).argmax(1)
        weights_NC = functional.one_hot(labels_N, weights_NC.shape[1]).to(unit_ND.dtype)
    return labels_N
