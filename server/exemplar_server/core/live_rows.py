"""The live rows of several segments in the order of their ids, without a copy of them all.

Shapes: N live rows, M of them, L labels, D dim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from exemplar_server.core.segments import Segment

COPIED_ROWS = 4096


@dataclass(frozen=True)
class LiveRows:
    """Each exemplar's id, label and place: a row of one of the segments. `names` are the labels."""

    segments: tuple[Segment, ...]
    names: tuple[str, ...]
    ids_N: NDArray[np.bytes_]
    codes_N: NDArray[np.int64]
    segment_N: NDArray[np.int16]
    row_N: NDArray[np.int64]

    @property
    def ids(self) -> list[str]:
        return [exemplar_id.decode() for exemplar_id in self.ids_N.tolist()]

    @property
    def labels(self) -> list[str]:
        return [self.names[code] for code in self.codes_N.tolist()]

    def embeddings(self, rows_M: NDArray[np.int64]) -> NDArray[np.float32]:
        """Those of some exemplars, (M, D)."""
        segment_M, row_M = self.segment_N[rows_M], self.row_N[rows_M]
        result_MD = np.empty((len(row_M), _dim(self.segments)), np.float32)
        for number, segment in enumerate(self.segments):
            here = np.flatnonzero(segment_M == number)
            for start in range(0, len(here), COPIED_ROWS):  # as one, they would be copied twice
                block = here[start : start + COPIED_ROWS]
                result_MD[block] = segment.rows.embeddings_ND[row_M[block]]
        return result_MD

    def all_embeddings(self) -> NDArray[np.float32]:
        """Not to be written to: no copy where one segment has them all."""
        if len(self.segments) == 1 and not self.segments[0].dead:
            return self.segments[0].rows.embeddings_ND
        return self.embeddings(np.arange(len(self.row_N)))


def live_rows(segments: tuple[Segment, ...]) -> LiveRows:
    """There must be a segment."""
    rows = [np.arange(len(segment.rows))[segment.live_rows()] for segment in segments]
    names = label_names(segments)
    ids_N = np.concatenate([s.rows.ids_N[r] for s, r in zip(segments, rows, strict=True)])
    codes_N = np.concatenate([s.codes_in(names)[r] for s, r in zip(segments, rows, strict=True)])
    numbers = [np.full(len(r), number, np.int16) for number, r in enumerate(rows)]
    order_N = np.argsort(ids_N, kind="stable")  # fast on rows that are in order segment by segment
    return LiveRows(
        segments,
        names,
        ids_N[order_N],
        codes_N[order_N],
        np.concatenate(numbers)[order_N],
        np.concatenate(rows)[order_N],
    )


def label_names(segments: Sequence[Segment]) -> tuple[str, ...]:
    """The live rows' labels, in order."""
    return tuple(sorted({name for segment in segments for name in segment.live_names}))


def label_counts(segments: Sequence[Segment]) -> dict[str, int]:
    counts = dict.fromkeys(label_names(segments), 0)
    for segment in segments:
        for name, count in zip(segment.rows.names, segment.counts_L.tolist(), strict=True):
            if count:
                counts[name] += count
    return counts


def label_sums(segments: Sequence[Segment], names: Sequence[str]) -> NDArray[np.float64]:
    """The sum of each label's live rows, (L, D); a segment's are computed once."""
    code_of = {name: code for code, name in enumerate(names)}
    sums_LD = np.zeros((len(names), _dim(segments)))
    for segment in segments:
        codes = [code_of[name] for name in segment.live_names]
        sums_LD[codes] += segment.sums_LD[segment.counts_L > 0]
    return sums_LD


def _dim(segments: Sequence[Segment]) -> int:
    dim: int = segments[0].rows.embeddings_ND.shape[1]
    return dim
