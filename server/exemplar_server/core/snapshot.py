"""A support set's index at one revision: immutable, so that readers need no lock.

Rows live in segments of falling size (each at least twice its successor, as in a log-structured
merge tree), so a small change copies few rows. Removed rows stay as tombstones until they are a
fifth of all.

Shapes: N rows (dead ones included), Q queries, K neighbors, D dim.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core import calibration, heads, ridge
from exemplar_server.core.leave_one_out import LeftOut
from exemplar_server.errors import TooFewExemplarsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from exemplar_server.core.calibration import Calibration
    from exemplar_server.core.exemplars import Delta, SupportSet
    from exemplar_server.core.ports import Index, IndexFactory
    from exemplar_server.core.ridge import Ridge

# Above this share of dead rows, over-fetching costs more than one copy of the live ones.
COMPACT_DEAD_SHARE = 0.2
# Calibrating on more exemplars takes longer and tells hardly more.
MOST_CALIBRATED = 2000


@dataclass(frozen=True)
class Neighbor:
    """An exemplar near a query."""

    exemplar_id: str
    label: str
    similarity: float


@dataclass(frozen=True)
class Snapshot:
    """All exemplars of `support_set` at its revision. Any thread may read it."""

    support_set: SupportSet
    segments: tuple[Index, ...]
    ids: tuple[str, ...]
    labels: tuple[str, ...]
    is_live_N: NDArray[np.bool_]

    @property
    def size_bytes(self) -> int:
        # 200 bytes a row: two Python strings and their places in the tuples.
        return sum(s.embeddings_ND.nbytes for s in self.segments) + 200 * len(self.ids)

    def search(self, queries_QD: NDArray[np.float32], k: int) -> list[list[Neighbor]]:
        """The min(k, live exemplars) nearest of each query, nearest first, ties by id."""
        found: list[list[Neighbor]] = [[] for _ in queries_QD]
        offset = 0
        for segment in self.segments:
            rows = len(segment.embeddings_ND)
            dead = rows - int(self.is_live_N[offset : offset + rows].sum())
            similarities_QK, rows_QK = segment.search(queries_QD, min(k + dead, rows))
            for neighbors, similarities_K, rows_K in zip(
                found, similarities_QK, rows_QK, strict=True
            ):
                neighbors.extend(self._live(similarities_K, rows_K + offset, k))
            offset += rows
        return [_nearest(neighbors, k) for neighbors in found]

    @cached_property
    def code_of(self) -> dict[str, int]:
        """The live labels, numbered in their order."""
        names = sorted({self.labels[row] for row in np.flatnonzero(self.is_live_N)})
        return {label: code for code, label in enumerate(names)}

    def coded(self, labels: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """All labels' names, and the numbers of these."""
        codes_N = np.array([self.code_of[label] for label in labels], dtype=np.int64)
        return tuple(self.code_of), codes_N

    @cached_property
    def prototypes(self) -> tuple[tuple[str, ...], NDArray[np.float32]]:
        """The labels, ordered, and their prototypes (L, D)."""
        live_N = np.flatnonzero(self.is_live_N)
        names, codes_N = self.coded([self.labels[row] for row in live_N])
        return names, heads.prototypes(self.embeddings_ND[live_N], codes_N, len(names))

    @cached_property
    def prototype_products(self) -> NDArray[np.float64]:
        """The prototypes' products with each other, (L, L)."""
        prototypes_LD = self.prototypes[1]
        return (prototypes_LD @ prototypes_LD.T).astype(np.float64)

    @cached_property
    def ridge(self) -> Ridge:
        _, labels, embeddings_ND = self.live()
        names, codes_N = self.coded(labels)
        return ridge.fit(embeddings_ND, codes_N, len(names))

    def calibration(self, head: str, k: int) -> Calibration:
        """Of `head`, or of the one that AUTO stands for; computed once.

        Raises:
            TooFewExemplarsError: RIDGE, and a label has too few exemplars.
        """
        if (head, k) not in self._calibrations:
            if head == heads.RIDGE:
                self._check_ridge()
            own = self._sample()
            chosen = own.best_head(k) if head == heads.AUTO else head
            self._calibrations[head, k] = calibration.calibrate(own, chosen, k)
        return self._calibrations[head, k]

    @cached_property
    def _calibrations(self) -> dict[tuple[str, int], Calibration]:
        return {}  # two threads may compute the same: both get it right

    def _check_ridge(self) -> None:
        counts = Counter(self.labels[row] for row in np.flatnonzero(self.is_live_N))
        label, fewest = min(counts.items(), key=lambda item: (item[1], item[0]))
        if fewest < heads.RIDGE_EXEMPLARS:
            raise TooFewExemplarsError(
                f"head: RIDGE takes {heads.RIDGE_EXEMPLARS} exemplars of each label, "
                f"label {label!r} has {fewest}"
            )

    def _sample(self) -> LeftOut:
        """MOST_CALIBRATED exemplars at most."""
        _, labels, embeddings_ND = self.live()
        count = min(len(labels), MOST_CALIBRATED)
        rows = np.linspace(0, len(labels) - 1, count).astype(np.int64)
        names, codes_N = np.unique(self.coded(labels)[1][rows], return_inverse=True)
        return LeftOut(embeddings_ND[rows], codes_N, len(names))

    @property
    def embeddings_ND(self) -> NDArray[np.float32]:
        """Every row's embedding, dead ones included; a copy where there are several segments."""
        return _stack([segment.embeddings_ND for segment in self.segments], self.support_set.dim)

    def live(self) -> tuple[list[str], list[str], NDArray[np.float32]]:
        """Ids, labels and embeddings of the live exemplars, by id."""
        rows = sorted(np.flatnonzero(self.is_live_N).tolist(), key=self.ids.__getitem__)
        ids = [self.ids[row] for row in rows]
        return ids, [self.labels[row] for row in rows], self.embeddings_ND[rows]

    def _live(
        self, similarities_K: NDArray[np.float32], rows_K: NDArray[np.int64], k: int
    ) -> list[Neighbor]:
        live = np.flatnonzero(self.is_live_N[rows_K])[:k]
        pairs = zip(rows_K[live].tolist(), similarities_K[live].tolist(), strict=True)
        return [Neighbor(self.ids[row], self.labels[row], value) for row, value in pairs]


def empty(support_set: SupportSet) -> Snapshot:
    return Snapshot(support_set, (), (), (), np.zeros(0, dtype=np.bool_))


def advance(snapshot: Snapshot, delta: Delta, build: IndexFactory) -> Snapshot:
    """The snapshot after `delta`. The old one stays as it is: searches on it go on."""
    is_live_N = snapshot.is_live_N.copy()
    if delta.removed_ids:
        is_removed = (exemplar_id in delta.removed_ids for exemplar_id in snapshot.ids)
        is_live_N &= ~np.fromiter(is_removed, np.bool_, len(snapshot.ids))
    added = np.ones(len(delta.exemplar_ids), dtype=np.bool_)
    grown = Snapshot(
        delta.support_set,
        _appended(snapshot.segments, delta.embeddings_ND, build),
        snapshot.ids + delta.exemplar_ids,
        snapshot.labels + delta.labels,
        np.concatenate([is_live_N, added]),
    )
    dead = len(grown.ids) - int(grown.is_live_N.sum())
    return _compacted(grown, build) if dead > COMPACT_DEAD_SHARE * len(grown.ids) else grown


def _appended(
    segments: tuple[Index, ...], embeddings_ND: NDArray[np.float32], build: IndexFactory
) -> tuple[Index, ...]:
    if not len(embeddings_ND):
        return segments
    kept = list(segments)
    tail = [embeddings_ND]
    rows = len(embeddings_ND)
    while kept and len(kept[-1].embeddings_ND) < 2 * rows:
        tail.insert(0, kept.pop().embeddings_ND)
        rows += len(tail[0])
    return (*kept, build(np.concatenate(tail)))


def _compacted(snapshot: Snapshot, build: IndexFactory) -> Snapshot:
    rows = np.flatnonzero(snapshot.is_live_N).tolist()
    return Snapshot(
        snapshot.support_set,
        (build(snapshot.embeddings_ND[rows]),) if rows else (),
        tuple(snapshot.ids[row] for row in rows),
        tuple(snapshot.labels[row] for row in rows),
        np.ones(len(rows), dtype=np.bool_),
    )


def _nearest(neighbors: list[Neighbor], k: int) -> list[Neighbor]:
    return sorted(neighbors, key=lambda n: (-n.similarity, n.exemplar_id))[:k]


def _stack(parts: Sequence[NDArray[np.float32]], dim: int) -> NDArray[np.float32]:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([np.zeros((0, dim), np.float32), *parts])
