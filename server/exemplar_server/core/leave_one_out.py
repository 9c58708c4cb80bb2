"""Exemplars answered by the others: what a support set tells about its own answers.

Shapes: N exemplars, B exemplars of one block, L labels, K neighbors, D dim. Embeddings are float32
of unit length; `codes_N` numbers their labels from 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core import heads, ridge

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 512  # rows compared with all at once: 20 MB of similarities at 10,000 exemplars


def shares(
    embeddings_ND: NDArray[np.float32],
    codes_N: NDArray[np.int64],
    label_count: int,
    head: str,
    k: int = heads.DEFAULT_K,
) -> NDArray[np.float64]:
    """What `head` (not AUTO) gives each label for each exemplar left out, (N, L); rows sum to 1.

    The only exemplar of its label gets no share of it by neighbors, and that of similarity 0 by
    prototypes: such rows say nothing about accuracy.
    """
    if head == heads.KNN:
        return knn_shares(embeddings_ND, codes_N, label_count, k)
    if head == heads.RIDGE:
        return heads.softmax(ridge.fit(embeddings_ND, codes_N, label_count).left_out_NL)
    return heads.softmax(prototype_similarities(embeddings_ND, codes_N, label_count))


def best_head(
    embeddings_ND: NDArray[np.float32], codes_N: NDArray[np.int64], label_count: int, k: int
) -> str:
    """What AUTO stands for: the head with the most exemplars right; ties go to the earlier one.

    Prototypes come first, and stay where no label has a second exemplar.
    """
    counts_L = np.bincount(codes_N, minlength=label_count)
    is_asked_N = counts_L[codes_N] > 1
    candidates = [heads.PROTOTYPE, heads.KNN]
    if counts_L.min() >= heads.RIDGE_EXEMPLARS and label_count > 1:
        candidates.append(heads.RIDGE)

    def right(head: str) -> int:
        shares_NL = shares(embeddings_ND, codes_N, label_count, head, k)
        return int((shares_NL.argmax(axis=1) == codes_N)[is_asked_N].sum())

    return max(candidates, key=right)


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


def knn_shares(
    embeddings_ND: NDArray[np.float32], codes_N: NDArray[np.int64], label_count: int, k: int
) -> NDArray[np.float64]:
    """What the k nearest others vote for, (N, L); a single exemplar gets zeros."""
    count = len(codes_N)
    k = min(k, count - 1)
    votes_NL = np.zeros((count, label_count))
    for start in range(0, count if k else 0, BLOCK):
        rows = np.arange(start, min(start + BLOCK, count))
        similarities_BN = embeddings_ND[rows] @ embeddings_ND.T
        similarities_BN[np.arange(len(rows)), rows] = -np.inf
        near_BK = np.argpartition(-similarities_BN, k - 1, axis=1)[:, :k]
        near = np.take_along_axis(similarities_BN, near_BK, axis=1)
        np.add.at(votes_NL, (rows[:, None], codes_N[near_BK]), heads.softmax(near))
    return votes_NL


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = rows / np.maximum(
        np.linalg.norm(rows, axis=1, keepdims=True), 1e-12
    )
    return result
