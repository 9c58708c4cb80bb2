"""Which exemplars stand for a support set that is too large to compute with all.

Shapes: N exemplars, L labels, S of them chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def spread_over_labels(codes_N: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Rows of at most `most` exemplars, (S,), ascending; one a label where there are more labels.

    Small labels keep all of theirs, large ones as many as each other, evenly over their order.
    """
    counts_L = np.bincount(codes_N)
    share = int(counts_L.max(initial=1))
    while share > 1 and np.minimum(counts_L, share).sum() > most:
        share = max(1, share * 3 // 4)
    if share >= counts_L.max(initial=0):
        return np.arange(len(codes_N))
    order_N = np.argsort(codes_N, kind="stable")
    starts_L = np.cumsum(counts_L) - counts_L
    place_N = np.arange(len(codes_N)) - np.repeat(starts_L, counts_L)
    count_N = np.repeat(counts_L, counts_L)
    kept_N = np.minimum(count_N, share)
    return np.sort(order_N[place_N * kept_N % count_N < kept_N])
