"""A support set's index at one revision: immutable, so that readers need no lock.

Rows live in sealed segments, so a small change copies few rows: those of the tail, a last segment
of up to TAIL_ROWS rows. Removed rows of the others stay as tombstones until a merge.

Shapes: N rows (dead ones included), R ids to remove, Q queries, L labels, D dim.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from exemplar_server.core import calibration, familiarity, heads, ridge
from exemplar_server.core.approximation import DOWN_TO_EXEMPLARS
from exemplar_server.core.familiarity import OpenSet
from exemplar_server.core.leave_one_out import LeftOut
from exemplar_server.core.live_rows import label_counts, label_names, label_sums, live_rows
from exemplar_server.core.merge import merge
from exemplar_server.core.sampling import spread_over_labels
from exemplar_server.core.segments import Segment, encoded, seal
from exemplar_server.errors import FingerprintMismatchError, TooFewExemplarsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from exemplar_server.core.base_prototypes import BasePrototypes
    from exemplar_server.core.calibration import Calibration
    from exemplar_server.core.exemplars import Delta, SupportSet
    from exemplar_server.core.ports import IndexFactory
    from exemplar_server.core.ridge import Ridge
    from exemplar_server.core.segments import Candidate

# 0.5 MB to copy at dim 512: a tenth of a millisecond.
TAIL_ROWS = 256
# A snapshot without rows: the objects themselves, and its places in the cache's tables.
OBJECTS_BYTES = 3000
# A UUID, the number of its label, and a little.
ID_AND_LABEL_BYTES = 48
# What grows with the labels or the rows.
COMPUTED = ("prototypes", "ridge")
# What a snapshot keeps that goes by the rows' places in its segments.
BY_ROW = frozenset({"labels", "is_live_N"})
# Calibrating on more exemplars takes longer and tells hardly more.
MOST_CALIBRATED = 2000
# Fitted in 2 seconds by one thread, and few support sets have more.
MOST_FITTED = 20_000


class Neighbor(NamedTuple):
    """An exemplar near a query."""

    exemplar_id: str
    label: str
    similarity: float


@dataclass(frozen=True)
class Snapshot:
    """All exemplars of `support_set` at its revision. Any thread may read it.

    Segments have live rows each; the last one is the tail, if it has TAIL_ROWS or fewer.
    """

    support_set: SupportSet
    segments: tuple[Segment, ...]

    @property
    def size_bytes(self) -> int:
        """With the large arrays among what was computed of the rows."""
        computed = sum(_array_bytes(vars(self).get(name)) for name in COMPUTED)
        return OBJECTS_BYTES + sum(segment.size_bytes for segment in self.segments) + computed

    @property
    def live_count(self) -> int:
        return sum(map(len, self.segments))

    def search(self, queries_QD: NDArray[np.float32], k: int) -> list[list[Neighbor]]:
        """The min(k, live exemplars) nearest of each query, nearest first, ties by id."""
        return _nearest(
            [segment.nearest(queries_QD, k) for segment in self.segments], queries_QD, k
        )

    def approximate_search(
        self, queries_QD: NDArray[np.float32], k: int
    ) -> tuple[list[list[Neighbor]], bool]:
        """As `search`, where that takes long: a near one may be missing. Whether that may be."""
        parts = [segment.approximately_nearest(queries_QD, k) for segment in self.segments]
        is_approximate = any(part is not None for part in parts)
        found = [
            segment.nearest(queries_QD, k) if part is None else part
            for segment, part in zip(self.segments, parts, strict=True)
        ]
        return _nearest(found, queries_QD, k), is_approximate

    @property
    def is_approximated(self) -> bool:
        """Whether searches may be approximate."""
        known = (segment.approximation for segment in self.segments)
        return any(part is not None and part.index is not None for part in known)

    def with_segments(self, segments: tuple[Segment, ...]) -> Snapshot:
        """The same live rows in other segments: what was computed of them stays."""
        other = Snapshot(self.support_set, segments)
        kept = vars(self).keys() - BY_ROW - vars(other).keys()
        vars(other).update({name: vars(self)[name] for name in kept})
        return other

    @cached_property
    def code_of(self) -> dict[str, int]:
        """The live labels, numbered in their order."""
        return {label: code for code, label in enumerate(label_names(self.segments))}

    def coded(self, labels: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """All labels' names, and the numbers of these."""
        codes_N = np.array([self.code_of[label] for label in labels], dtype=np.int64)
        return tuple(self.code_of), codes_N

    @cached_property
    def prototypes(self) -> tuple[tuple[str, ...], NDArray[np.float32]]:
        """The labels, ordered, and their prototypes (L, D)."""
        names = tuple(self.code_of)
        return names, heads.unit(label_sums(self.segments, names)).astype(np.float32)

    def open_set(self, base: BasePrototypes) -> OpenSet:
        """With the backbone's base prototypes; computed once."""
        if base not in self._open_sets:
            known = familiarity.familiarity(self.prototypes[1], base)
            self._open_sets[base] = OpenSet(known, familiarity.unfamiliar(self._sample(), base))
        return self._open_sets[base]

    @cached_property
    def _open_sets(self) -> dict[BasePrototypes, OpenSet]:
        return {}

    @cached_property
    def ridge(self) -> Ridge:
        live = live_rows(self.segments)
        rows = spread_over_labels(live.codes_N, MOST_FITTED)
        return ridge.fit(live.embeddings(rows), live.codes_N[rows], len(live.names))

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
        counts = label_counts(self.segments)
        label, fewest = min(counts.items(), key=lambda item: (item[1], item[0]))
        if fewest < heads.RIDGE_EXEMPLARS:
            raise TooFewExemplarsError(
                f"head: RIDGE takes {heads.RIDGE_EXEMPLARS} exemplars of each label, "
                f"label {label!r} has {fewest}"
            )

    def _sample(self) -> LeftOut:
        """MOST_CALIBRATED exemplars at most."""
        live = live_rows(self.segments)
        count = min(self.live_count, MOST_CALIBRATED)
        rows = np.linspace(0, self.live_count - 1, count).astype(np.int64)
        names, codes_N = np.unique(live.codes_N[rows], return_inverse=True)
        return LeftOut(live.embeddings(rows), codes_N, len(names))

    def live(self) -> tuple[list[str], list[str], NDArray[np.float32]]:
        """Ids, labels and embeddings of the live exemplars, by id. Not to be written to."""
        if not self.segments:
            return [], [], np.zeros((0, self.support_set.dim), np.float32)
        live = live_rows(self.segments)
        return live.ids, live.labels, live.all_embeddings()


def _nearest(
    parts: Sequence[list[list[Candidate]]], queries_QD: NDArray[np.float32], k: int
) -> list[list[Neighbor]]:
    """Each query's neighbors, of those in each segment."""
    found = parts[0] if parts else [[] for _ in queries_QD]
    for more in parts[1:]:
        found = [sorted(near + others)[:k] for near, others in zip(found, more, strict=True)]
    return [[Neighbor(i.decode(), label, -value) for value, i, label in near] for near in found]


def empty(support_set: SupportSet) -> Snapshot:
    return Snapshot(support_set, ())


def expected_bytes(support_set: SupportSet) -> int:
    """The size of its snapshot, to the bytes of ids and labels: to be known before it is read."""
    row_bytes = 4 * support_set.dim + ID_AND_LABEL_BYTES
    return 2 * OBJECTS_BYTES + support_set.exemplar_count * row_bytes


def advance(snapshot: Snapshot, delta: Delta, build: IndexFactory) -> Snapshot:
    """The snapshot after `delta`. The old one stays as it is: searches on it go on.

    Copies the tail at most; core/merging.py does the rest later. Refuses to mix spaces.
    """
    if delta.support_set.space != snapshot.support_set.space:
        raise FingerprintMismatchError(f"support set {delta.support_set.name!r}: two in one index")
    segments = snapshot.segments
    # An exemplar that comes again takes the place of what it was.
    if segments and (gone := delta.removed_ids.union(delta.exemplar_ids)):
        gone_R = encoded(gone)
        buried = [segment.without(gone_R) for segment in segments]
        buried[-1:] = [_compacted(segment, build) for segment in buried[-1:]]
        segments = tuple(segment for segment in buried if len(segment))
    if len(delta.exemplar_ids):
        rows = seal(delta.exemplar_ids, delta.labels, delta.embeddings_ND, build)
        segments = _appended(segments, Segment(rows), build)
    if sum(map(len, segments)) < DOWN_TO_EXEMPLARS:
        segments = tuple(replace(s, approximation=None) if s.approximation else s for s in segments)
    return Snapshot(delta.support_set, segments)


def _appended(
    segments: tuple[Segment, ...], new: Segment, build: IndexFactory
) -> tuple[Segment, ...]:
    if segments and len(segments[-1].rows) + len(new) <= TAIL_ROWS:
        return (*segments[:-1], Segment(merge((segments[-1], new), build).rows))
    return (*segments, new)


def _compacted(segment: Segment, build: IndexFactory) -> Segment:
    """Without its dead rows, where it is the tail."""
    if not segment.dead or len(segment.rows) > TAIL_ROWS or not len(segment):
        return segment
    return Segment(merge((segment,), build).rows)


def _array_bytes(value: object) -> int:
    if isinstance(value, np.ndarray):
        return value.nbytes
    parts = value if isinstance(value, tuple) else getattr(value, "__dict__", {}).values()
    return sum(part.nbytes for part in parts if isinstance(part, np.ndarray))
