"""Finds exemplars that are nearly the same image: far nearer than what is merely alike.

Shapes: N exemplars, K neighbors, P pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from exemplar_server.core.nearest import Nearest

# Chosen on CIFAR-10's and Fashion-MNIST's training images, emoji, letters and woven cloth with
# copies made by JPEG, a smaller size, a crop and more light.
SCALE_NEIGHBORS = 5
CLOSER = 0.3
LEAST_SIMILARITY = 0.9
SAME_SIMILARITY = 0.998


@dataclass(frozen=True)
class ClosePairs:
    """Each pair once, its lower row first."""

    rows_P: NDArray[np.int64]
    others_P: NDArray[np.int64]
    similarities_P: NDArray[np.float32]


def near_duplicates(near: Nearest, codes_N: NDArray[np.int64]) -> ClosePairs:
    """Pairs across labels first, as one of the two is wrong; then the closest; ties by row.

    A pair is one at a similarity of SAME_SIMILARITY. From LEAST_SIMILARITY on it is one where its
    distance (1 - similarity) is at most CLOSER of what the two have around them: the geometric mean
    of their distances to their fifth nearest, or the farthest of fewer. So data set the scale, and
    up to five copies of an image are told from images of a kind. Of more copies that are no more
    than nearly the same, none is found; of more that are the same, each with its five nearest.
    """
    count, most = near.rows_NK.shape
    k = min(SCALE_NEIGHBORS, most)
    if not k:
        return ClosePairs(*(np.zeros(0, np.int64),) * 2, np.zeros(0, np.float32))
    others_NK, similarities_NK = near.rows_NK[:, :k], near.similarities_NK[:, :k]
    is_close_NK = (similarities_NK >= SAME_SIMILARITY) | _stands_out(others_NK, similarities_NK)
    rows, places = np.nonzero(is_close_NK)
    others = others_NK[rows, places]
    keys = np.minimum(rows, others) * count + np.maximum(rows, others)
    keys_P, first_P = np.unique(keys, return_index=True)
    rows_P, others_P = np.divmod(keys_P, count)
    similarities_P = similarities_NK[rows, places][first_P]
    order_P = np.lexsort((-similarities_P, codes_N[rows_P] == codes_N[others_P]))
    return ClosePairs(rows_P[order_P], others_P[order_P], similarities_P[order_P])


def _stands_out(
    others_NK: NDArray[np.int64], similarities_NK: NDArray[np.float32]
) -> NDArray[np.bool_]:
    distances_NK = 1 - similarities_NK
    around_N = distances_NK[:, -1]
    around_NK = np.sqrt(around_N[:, None] * around_N[others_NK])
    is_near_NK: NDArray[np.bool_] = distances_NK <= CLOSER * around_NK
    return is_near_NK & (similarities_NK >= LEAST_SIMILARITY)
