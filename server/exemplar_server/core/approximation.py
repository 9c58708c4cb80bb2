"""Approximate search of many rows, used only where enough of its answers were measured to be right.

Shapes: N rows, Q queries, K neighbors, C candidates, M measured rows, D dim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from exemplar_server.core.ports import ApproximateFactory, ApproximateIndex, Index

# From here on in all, rows are searched approximately; down to there, they go on being so. It is
# faster from 5,000 rows on; up to here, exact search takes less than 10 ms and misses nothing
# (tests/bench/results/2026-11-25-search.md).
FROM_EXEMPLARS = 100_000
DOWN_TO_EXEMPLARS = 60_000
# Fewer rows of one segment are compared as fast.
FROM_ROWS = 16_384
# Of each row's K nearest others, so many must be among those found. Queries are promised 0.99: the
# share of M rows errs by 0.002.
LEAST_RECALL = 0.995
MEASURED_ROWS = 200
# How many neighbors a call may ask for, and how many lists are looked through: as few as do.
MEASURED_NEIGHBORS = (10, 100)
PROBES = (4, 8, 16, 32, 64, 128)


@dataclass(frozen=True, eq=False)
class Approximation:
    """An index of rows, and for up to how many neighbors how many of its lists are enough.

    No `probes` at all: it was measured, and no number of lists was enough.
    """

    index: ApproximateIndex | None
    probes: tuple[tuple[int, int], ...]

    @property
    def size_bytes(self) -> int:
        return 0 if self.index is None else self.index.size_bytes

    def probes_for(self, k: int) -> int | None:
        return next((probes for most, probes in self.probes if k <= most), None)


def expected_bytes(rows: int, dim: int) -> int:
    """What making an approximation takes, to be known before."""
    return 2 * rows * (dim + 16)


def approximate(exact: Index, build: ApproximateFactory) -> Approximation:
    """Builds an index of the rows and measures it on some of them."""
    index = build(exact.embeddings_ND)
    trial = _trial(exact)
    probes = []
    for k in MEASURED_NEIGHBORS:
        enough = (p for p in PROBES if trial.recall(index, k, p) >= LEAST_RECALL)
        if (least := next(enough, None)) is None:
            break
        probes.append((k, least))
    return Approximation(index if probes else None, tuple(probes))


def candidates_of(k: int) -> int:
    """How many the index is asked for: by its compressed rows, the order is a little wrong."""
    return max(50, 2 * k)


def reranked(
    embeddings_ND: NDArray[np.float32],
    queries_QD: NDArray[np.float32],
    rows_QC: NDArray[np.int64],
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The candidates by their true similarities, best first; -inf for row -1, which is none."""
    found_QCD = embeddings_ND[np.maximum(rows_QC, 0)]
    similarities_QC = np.clip((found_QCD @ queries_QD[:, :, None])[:, :, 0], -1.0, 1.0)
    similarities_QC[rows_QC < 0] = -np.inf
    order_QC = np.argsort(-similarities_QC, axis=1, kind="stable")
    return (
        np.take_along_axis(similarities_QC, order_QC, axis=1),
        np.take_along_axis(rows_QC, order_QC, axis=1),
    )


@dataclass(frozen=True)
class _Trial:
    """Some rows that are queries, each left out of its own answer, and their true answers."""

    exact: Index
    rows_M: NDArray[np.int64]
    nearest_MK: NDArray[np.float32]

    def recall(self, index: ApproximateIndex, k: int, probes: int) -> float:
        """Share of the k nearest that is found. Equally near rows are as right as each other."""
        k = min(k, self.nearest_MK.shape[1])
        queries_MD = self.exact.embeddings_ND[self.rows_M]
        rows_MC = index.search(queries_MD, candidates_of(k) + 1, probes)
        found = reranked(self.exact.embeddings_ND, queries_MD, rows_MC)
        found_MC = _without(*found, self.rows_M)
        # Rounding differs between the two by 1e-7.
        return float((found_MC[:, :k] >= self.nearest_MK[:, k - 1 : k] - 1e-6).mean())


def _trial(exact: Index) -> _Trial:
    count = len(exact.embeddings_ND)
    rows_M = np.linspace(0, count - 1, min(MEASURED_ROWS, count)).astype(np.int64)
    most = min(MEASURED_NEIGHBORS[-1] + 1, count)
    found = exact.search(exact.embeddings_ND[rows_M], most)
    return _Trial(exact, rows_M, _without(*found, rows_M))


def _without(
    similarities_MK: NDArray[np.float32], rows_MK: NDArray[np.int64], own_M: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The similarities but a row's with itself (the last, where that was not found), (M, K - 1)."""
    is_other_MK = rows_MK != own_M[:, None]
    is_other_MK[is_other_MK.all(axis=1), -1] = False
    result_MK: NDArray[np.float32] = similarities_MK[is_other_MK].reshape(len(own_M), -1)
    return result_MK
