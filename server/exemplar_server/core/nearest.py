"""The nearest others of every exemplar; each pair is compared once, a block of rows at a time.

Shapes: N exemplars, B exemplars of one block, M exemplars from that block on, K neighbors,
R rows with C columns of similarities, G groups of columns, D dim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 512  # rows compared with all that follow: 20 MB of similarities at 10,000 exemplars
GROUP = 8  # columns of which only the highest is ranked, unless it is among the best


@dataclass(frozen=True)
class Nearest:
    """Each exemplar's min(K, N - 1) nearest others and their cosines, nearest first, ties by row.

    Which of several equally near ones come in last is not said.
    """

    rows_NK: NDArray[np.int64]
    similarities_NK: NDArray[np.float32]


def nearest_others(embeddings_ND: NDArray[np.float32], k: int) -> Nearest:
    """Embeddings are of unit length; k is 1 and more."""
    count = len(embeddings_ND)
    k = min(k, count - 1)
    found = Nearest(np.zeros((count, k), np.int64), np.full((count, k), -np.inf, np.float32))
    for start in range(0, count if k else 0, BLOCK):
        stop = min(start + BLOCK, count)
        similarities_BM = embeddings_ND[start:stop] @ embeddings_ND[start:].T
        np.fill_diagonal(similarities_BM, -np.inf)
        _improve(found, slice(start, stop), similarities_BM, start)
        _improve(found, slice(stop, count), similarities_BM[:, stop - start :].T, start)
    order_NK = np.lexsort((found.rows_NK, -found.similarities_NK), axis=1)
    return Nearest(
        np.take_along_axis(found.rows_NK, order_NK, axis=1),
        np.take_along_axis(found.similarities_NK, order_NK, axis=1).clip(-1, 1),
    )


def _improve(found: Nearest, rows: slice, similarities_RC: NDArray[np.float32], first: int) -> None:
    """Takes in what is nearer to these rows; column 0 is exemplar `first`."""
    k = found.rows_NK.shape[1]
    columns_RC = _promising(similarities_RC, k)
    new_RC = np.take_along_axis(similarities_RC, columns_RC, axis=1)
    both_RC = np.concatenate([found.similarities_NK[rows], new_RC], axis=1)
    rows_RC = np.concatenate([found.rows_NK[rows], columns_RC + first], axis=1)
    best_RK = np.argpartition(-both_RC, k - 1, axis=1)[:, :k]
    found.similarities_NK[rows] = np.take_along_axis(both_RC, best_RK, axis=1)
    found.rows_NK[rows] = np.take_along_axis(rows_RC, best_RK, axis=1)


def _promising(similarities_RC: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """A few columns of each row, the k highest among them: those of the k highest groups.

    Ranking the groups' maxima, which are cheap, takes a fourth of the time of ranking all.
    """
    rows, count = similarities_RC.shape
    groups = count // GROUP
    if groups <= k:
        return np.broadcast_to(np.arange(count), (rows, count))
    grouped = similarities_RC[:, : groups * GROUP].reshape(rows, GROUP, groups)
    best_RK = np.argpartition(-grouped.max(axis=1), k - 1, axis=1)[:, :k]
    inside_RC = (best_RK[:, :, None] + groups * np.arange(GROUP)).reshape(rows, GROUP * k)
    rest = np.arange(groups * GROUP, count)
    return np.concatenate([inside_RC, np.broadcast_to(rest, (rows, len(rest)))], axis=1)
