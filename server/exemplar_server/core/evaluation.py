"""Tells how good a support set is: every exemplar answered by the others.

Shapes: N exemplars, B exemplars of one block, L labels, K neighbors, D dim. Embeddings are float32
of unit length, exemplars are ordered by id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core import heads
from exemplar_server.core.snapshot import Neighbor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from exemplar_server.core.snapshot import Snapshot

BLOCK = 512  # rows compared with all at once: 20 MB of similarities at 10,000 exemplars
SPEAKERS = 3


@dataclass(frozen=True)
class Suspect:
    """An exemplar that its label's prototype fits less than another's; `suspicion` in [0, 1]."""

    exemplar_id: str
    label: str
    suggested_label: str
    suspicion: float
    neighbors: list[Neighbor]


@dataclass(frozen=True)
class Evaluation:
    """What the others answer each exemplar: codes of `names`, -1 where no other has its label.

    Suspects come the likeliest first.
    """

    head: str
    names: tuple[str, ...]
    codes_N: NDArray[np.int64]
    answers_N: NDArray[np.int64]
    suspects: list[Suspect]


def evaluate(snapshot: Snapshot, head: str, k: int, most: int) -> Evaluation:
    """`head`: KNN or PROTOTYPE. The snapshot must hold at least one exemplar."""
    ids, labels, embeddings_ND = snapshot.live()
    names = tuple(sorted(set(labels)))
    codes_N = np.searchsorted(np.array(names, dtype=object), np.array(labels, dtype=object))
    similarities_NL = prototype_similarities(embeddings_ND, codes_N, len(names))
    best_N = similarities_NL.argmax(axis=1)
    answers_N = knn_answers(embeddings_ND, codes_N, len(names), k) if head == heads.KNN else best_N
    has_other_N = np.bincount(codes_N)[codes_N] > 1
    answers_N = np.where(has_other_N, answers_N, -1)
    suspicion_N = np.where(
        has_other_N & (best_N != codes_N), suspicions(similarities_NL, codes_N), 0
    )
    rows = [row for row in np.argsort(-suspicion_N, kind="stable")[:most] if suspicion_N[row]]
    found = [
        Suspect(
            ids[row],
            labels[row],
            names[best_N[row]],
            float(suspicion_N[row]),
            _speakers(ids, labels, embeddings_ND, row, codes_N == best_N[row]),
        )
        for row in rows
    ]
    return Evaluation(head, names, codes_N, answers_N, found)


def prototype_similarities(
    embeddings_ND: NDArray[np.float32], codes_N: NDArray[np.int64], label_count: int
) -> NDArray[np.float64]:
    """Cosines with every label's prototype, an exemplar's own label's without it, (N, L)."""
    sums_LD = np.zeros((label_count, embeddings_ND.shape[1]))
    np.add.at(sums_LD, codes_N, embeddings_ND)
    similarities_NL = (embeddings_ND @ _unit(sums_LD).astype(np.float32).T).astype(np.float64)
    for start in range(0, len(codes_N), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(codes_N)))
        own_BD = _unit(sums_LD[codes_N[rows]] - embeddings_ND[rows])
        similarities_NL[rows, codes_N[rows]] = (own_BD * embeddings_ND[rows]).sum(axis=1)
    return similarities_NL


def suspicions(
    similarities_NL: NDArray[np.float64], codes_N: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The best other label's share beside the own one's, in [0, 1]; 0 where there is no other."""
    rows = np.arange(len(codes_N))
    others_NL = similarities_NL.copy()
    others_NL[rows, codes_N] = -np.inf
    margins_N = others_NL.max(axis=1) - similarities_NL[rows, codes_N]
    result_N: NDArray[np.float64] = 1 / (1 + np.exp(-margins_N / heads.DEFAULT_TEMPERATURE))
    return result_N


def knn_answers(
    embeddings_ND: NDArray[np.float32], codes_N: NDArray[np.int64], label_count: int, k: int
) -> NDArray[np.int64]:
    """What the k nearest others vote for; ties by label."""
    count = len(codes_N)
    k = min(k, count - 1)
    votes_NL = np.zeros((count, label_count))
    for start in range(0, count if k else 0, BLOCK):
        rows = np.arange(start, min(start + BLOCK, count))
        similarities_BN = embeddings_ND[rows] @ embeddings_ND.T
        similarities_BN[np.arange(len(rows)), rows] = -np.inf
        near_BK = np.argpartition(-similarities_BN, k - 1, axis=1)[:, :k]
        near = np.take_along_axis(similarities_BN, near_BK, axis=1)
        weights_BK = np.exp((near - 1.0) / heads.DEFAULT_TEMPERATURE)
        np.add.at(votes_NL, (rows[:, None], codes_N[near_BK]), weights_BK)
    answers_N: NDArray[np.int64] = votes_NL.argmax(axis=1)
    return answers_N


def wilson(right: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share: Wilson 1927, "Probable Inference", for count 1 and more."""
    z2 = 1.959964**2
    middle = (right + z2 / 2) / (count + z2)
    half = (z2 * right * (count - right) / count + z2**2 / 4) ** 0.5 / (count + z2)
    return max(0.0, middle - half), min(1.0, middle + half)


def _speakers(
    ids: Sequence[str],
    labels: Sequence[str],
    embeddings_ND: NDArray[np.float32],
    row: int,
    speaks_N: NDArray[np.bool_],
) -> list[Neighbor]:
    rows_K = np.flatnonzero(speaks_N)
    similarities_K = embeddings_ND[rows_K] @ embeddings_ND[row]
    order = np.argsort(-similarities_K, kind="stable")[:SPEAKERS]
    return [Neighbor(ids[rows_K[n]], labels[rows_K[n]], float(similarities_K[n])) for n in order]


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = rows / np.maximum(
        np.linalg.norm(rows, axis=1, keepdims=True), 1e-12
    )
    return result
