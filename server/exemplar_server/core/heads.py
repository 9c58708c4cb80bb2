"""Heads: what turns neighbors or prototypes into an answer.

Shapes: Q queries, K neighbors, L labels, D dim. Similarities are cosines, float32 in [-1, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

KNN = "KNN"
PROTOTYPE = "PROTOTYPE"
DEFAULT_HEAD = KNN
DEFAULT_K = 5
# Wu et al. 2018, "Unsupervised Feature Learning via Non-Parametric Instance Discrimination",
# section 3.4 (https://arxiv.org/abs/1805.01978); DINOv2's k-NN evaluation has the same value.
DEFAULT_TEMPERATURE = 0.07


@dataclass(frozen=True)
class LabelScore:
    """A label's share of an answer, in [0, 1]."""

    label: str
    score: float


def knn_scores(
    labels_K: Sequence[str], similarities_K: NDArray[np.float32], temperature: float
) -> list[LabelScore]:
    """The vote of the nearest exemplars, best label first, ties by label; scores sum to 1.

    Each neighbor weighs exp((similarity - 1) / temperature): scikit-learn's KNeighborsClassifier
    with metric cosine and weights exp(-d / T).
    """
    weights_K = _softmax(similarities_K, temperature)
    shares: dict[str, float] = {}
    for label, weight in zip(labels_K, weights_K.tolist(), strict=True):
        shares[label] = shares.get(label, 0.0) + weight
    return _ranked(shares)


def prototype_scores(
    labels_L: Sequence[str], similarities_L: NDArray[np.float32], temperature: float
) -> list[LabelScore]:
    """The share of each label's prototype, best first, ties by label; scores sum to 1.

    Snell et al. 2017, "Prototypical Networks", equation 2, with cosine for the distance.
    """
    shares = _softmax(similarities_L, temperature).tolist()
    return _ranked(dict(zip(labels_L, shares, strict=True)))


def prototypes(
    embeddings_ND: NDArray[np.float32], codes_N: NDArray[np.int64], label_count: int
) -> NDArray[np.float32]:
    """The renormalized mean embedding of each label, (L, D); `codes_N` numbers the rows' labels.

    Sums in float64. Embeddings of one label that cancel out give a zero prototype: similarity 0.
    """
    order_N = np.argsort(codes_N, kind="stable")
    starts_L = np.searchsorted(codes_N[order_N], np.arange(label_count))
    sums_LD = np.add.reduceat(embeddings_ND[order_N], starts_L, axis=0, dtype=np.float64)
    norms_L1 = np.linalg.norm(sums_LD, axis=1, keepdims=True)
    result_LD: NDArray[np.float32] = (sums_LD / np.maximum(norms_L1, 1e-12)).astype(np.float32)
    return result_LD


def _softmax(similarities: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    logits = similarities.astype(np.float64) / temperature
    weights = np.exp(logits - logits.max())  # the max cancels in the ratio and avoids overflow
    result: NDArray[np.float64] = weights / weights.sum()
    return result


def _ranked(shares: dict[str, float]) -> list[LabelScore]:
    ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    return [LabelScore(label, score) for label, score in ordered]
