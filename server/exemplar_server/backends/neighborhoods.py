"""Neighbors among a map's rows, and how far the map keeps them: the server's only scikit-learn.

Shapes: N points, S of them sampled, Q queries, K neighbors, D dim, P principal components.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

from exemplar_server.core.maps import MapQuality

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Of 1280 dimensions: the search takes a ninth of the time, and neighbors are kept better
# (tests/bench/results/2026-11-25-tsne.md).
PRINCIPAL_COMPONENTS = 50
# Trustworthiness ranks all pairs: 0.4 s for this many points, a hundred times that for 20,000.
MOST_SAMPLED = 2000
TRUSTED_NEIGHBORS = 12
VOTING_NEIGHBORS = 10


def principal(embeddings_ND: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """The rows' 50 principal components (N, P); the rows themselves where they have fewer."""
    if min(embeddings_ND.shape) <= PRINCIPAL_COMPONENTS:
        return embeddings_ND
    analysis = PCA(PRINCIPAL_COMPONENTS, svd_solver="randomized", random_state=seed)
    rows_NP: NDArray[np.float32] = analysis.fit_transform(embeddings_ND)
    return rows_NP


def nearest(
    rows_ND: NDArray[np.float32], queries_QD: NDArray[np.float32] | None, k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Exact distances (Q, K), least first, and row numbers (Q, K); of each row's others for None.

    Brute force takes 1.1 s for 10,000 rows of 50 values; Annoy, openTSNE's default, 4.9 s.
    """
    index = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(rows_ND)
    distances_QK, rows_QK = index.kneighbors(queries_QD)
    return distances_QK.astype(np.float64), rows_QK


def quality(
    embeddings_ND: NDArray[np.float32],
    points_N2: NDArray[np.float32],
    codes_N: NDArray[np.int32],
    seed: int,
) -> MapQuality:
    """`codes_N` numbers the labels, -1 for none. Needs 3 points."""
    count = len(points_N2)
    sample_S = np.random.default_rng(seed).permutation(count)[:MOST_SAMPLED]
    neighbors = min(TRUSTED_NEIGHBORS, (len(sample_S) - 1) // 2)  # all that scikit-learn allows
    trusted = trustworthiness(embeddings_ND[sample_S], points_N2[sample_S], n_neighbors=neighbors)
    labelled_S = sample_S[codes_N[sample_S] >= 0]
    if not len(labelled_S):
        return MapQuality(float(trusted), None, None)
    return MapQuality(
        float(trusted),
        _agreement(points_N2, codes_N, labelled_S),
        _agreement(embeddings_ND, codes_N, labelled_S),
    )


def _agreement(
    rows_ND: NDArray[np.float32], codes_N: NDArray[np.int32], chosen_S: NDArray[np.int64]
) -> float:
    """Share of the chosen rows whose nearest others mostly have their label, ties by label."""
    k = min(VOTING_NEIGHBORS, len(rows_ND) - 1)
    _, rows_SK = nearest(rows_ND, rows_ND[chosen_S], k + 1)
    is_other_SK = rows_SK != chosen_S[:, None]
    is_other_SK[is_other_SK.all(axis=1), -1] = False  # it is not among its equals that were found
    others_SK = rows_SK[is_other_SK].reshape(len(chosen_S), k)
    votes_SK = codes_N[others_SK] + 1  # none, -1, is counted as well
    voted_S = np.array([np.bincount(votes_K).argmax() for votes_K in votes_SK]) - 1
    return float(np.mean(voted_S == codes_N[chosen_S]))
