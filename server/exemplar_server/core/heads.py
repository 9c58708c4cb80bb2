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
RIDGE = "RIDGE"
AUTO = "AUTO"
DEFAULT_HEAD = AUTO
# Below, prototypes are as good, and a label's regression hangs on single images.
RIDGE_EXEMPLARS = 10
DEFAULT_K = 5
# Wu et al. 2018, "Unsupervised Feature Learning via Non-Parametric Instance Discrimination",
# section 3.4 (https://arxiv.org/abs/1805.01978); DINOv2's k-NN evaluation has the same value.
DEFAULT_TEMPERATURE = 0.07


@dataclass(frozen=True)
class LabelScore:
    """A label's share of an answer, in [0, 1]; `probability` is the calibrated one, if any."""

    label: str
    score: float
    probability: float | None = None


def votes(
    codes_K: Sequence[int],
    similarities_K: NDArray[np.float32],
    label_count: int,
    temperature: float,
) -> NDArray[np.float64]:
    """Each label's share of the nearest exemplars' votes, (L,); shares sum to 1.

    Each neighbor weighs exp((similarity - 1) / temperature): scikit-learn's KNeighborsClassifier
    with metric cosine and weights exp(-d / T).
    """
    shares_L = np.zeros(label_count)
    np.add.at(shares_L, list(codes_K), softmax(similarities_K, temperature))
    return shares_L


def prototypes(
    embeddings_ND: NDArray[np.float32], codes_N: NDArray[np.int64], label_count: int
) -> NDArray[np.float32]:
    """The renormalized mean embedding of each label, (L, D); `codes_N` numbers the rows' labels.

    Embeddings of one label that cancel out give a zero prototype: similarity 0.
    """
    return unit(label_sums(embeddings_ND, codes_N, label_count)).astype(np.float32)


def label_sums(
    embeddings_ND: NDArray[np.float32], codes_N: NDArray[np.int64], label_count: int
) -> NDArray[np.float64]:
    """The sum of each label's embeddings, (L, D)."""
    order_N = np.argsort(codes_N, kind="stable")
    starts_L = np.searchsorted(codes_N[order_N], np.arange(label_count))
    sums_LD: NDArray[np.float64] = np.add.reduceat(
        embeddings_ND[order_N], starts_L, axis=0, dtype=np.float64
    )
    return sums_LD


def unit(rows_ND: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rows at unit length; zero stays zero."""
    norms_N1 = np.linalg.norm(rows_ND, axis=1, keepdims=True)
    result_ND: NDArray[np.float64] = rows_ND / np.maximum(norms_N1, 1e-12)
    return result_ND


def softmax(
    values: NDArray[np.float32] | NDArray[np.float64], temperature: float = DEFAULT_TEMPERATURE
) -> NDArray[np.float64]:
    """Shares along the last axis that sum to 1.

    Of similarities with prototypes: Snell et al. 2017, "Prototypical Networks", equation 2, with
    cosine for the distance.
    """
    logits = values.astype(np.float64) / temperature
    # The max cancels in the ratio and avoids overflow.
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: NDArray[np.float64] = weights / weights.sum(axis=-1, keepdims=True)
    return result


def ranked(
    labels_L: Sequence[str],
    shares_L: NDArray[np.float64],
    probabilities_L: NDArray[np.float64] | None = None,
) -> list[LabelScore]:
    """The labels with a share, best first, ties by label; `labels_L` are in their order."""
    order = np.argsort(-shares_L, kind="stable")
    return [
        LabelScore(
            labels_L[code],
            float(shares_L[code]),
            None if probabilities_L is None else float(probabilities_L[code]),
        )
        for code in order[shares_L[order] > 0].tolist()
    ]
