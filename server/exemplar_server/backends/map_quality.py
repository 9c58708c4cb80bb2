"""How far a map can be trusted, measured with scikit-learn. For the map's own process.

Shapes: N points, S of them sampled, K neighbors, D dim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

from exemplar_server.core.maps import MapQuality

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Trustworthiness ranks all pairs: 0.5 s for this many points, 60 s for 20,000.
MOST_SAMPLED = 2000
TRUSTED_NEIGHBORS = 12
VOTING_NEIGHBORS = 10


def measure(
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
    index = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(rows_ND)
    rows_SK = index.kneighbors(rows_ND[chosen_S], return_distance=False)
    is_other_SK = rows_SK != chosen_S[:, None]
    is_other_SK[is_other_SK.all(axis=1), -1] = False  # it is not among its equals that were found
    others_SK = rows_SK[is_other_SK].reshape(len(chosen_S), k)
    votes_SK = codes_N[others_SK] + 1  # none, -1, is counted as well
    voted_S = np.array([np.bincount(votes_K).argmax() for votes_K in votes_SK]) - 1
    return float(np.mean(voted_S == codes_N[chosen_S]))
