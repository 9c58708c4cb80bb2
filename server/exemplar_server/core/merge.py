"""The live rows of some segments as one segment.

Shapes: N rows of one segment, D dim.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core import approximation
from exemplar_server.core.row_memory import empty_rows
from exemplar_server.core.segments import Rows, Segment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from exemplar_server.core.approximation import Approximation
    from exemplar_server.core.ports import ApproximateFactory, IndexFactory

COPIED_ROWS = 4096


@dataclass(frozen=True, eq=False)
class Merge:
    """The live rows of some segments as one. `places`: where each segment's live rows went."""

    segments: tuple[Segment, ...]
    rows: Rows
    places: tuple[NDArray[np.int64], ...]
    approximation: Approximation | None = None

    def segment(self, now: Sequence[Segment | None]) -> Segment:
        """The merged segment, with what died in the meantime.

        `now` are the segments as they are today; None stands for one that has no live row left.
        """
        if self.rows is self.segments[0].rows and now[0] is not None:
            return replace(now[0], approximation=self.approximation)
        dead = [
            places_N[_died_since(before, after)]
            for before, after, places_N in zip(self.segments, now, self.places, strict=True)
        ]
        merged = Segment(self.rows, approximation=self.approximation)
        return merged.buried(np.concatenate(dead))


def merge(segments: Sequence[Segment], build: IndexFactory) -> Merge:
    """Copies the live rows. Any thread may do so: segments never change."""
    live = [segment.live_rows() for segment in segments]
    rows = [segment.rows for segment in segments]
    ids_N = np.concatenate([r.ids_N[live_N] for r, live_N in zip(rows, live, strict=True)])
    order_N = np.argsort(ids_N, kind="stable")
    place_N = np.empty_like(order_N)
    place_N[order_N] = np.arange(len(order_N))
    places = np.split(place_N, np.cumsum([len(segment) for segment in segments])[:-1])

    names = tuple(sorted(set(chain.from_iterable(r.names for r in rows))))
    codes_N = np.empty(len(ids_N), np.int32)
    embeddings_ND = empty_rows(len(ids_N), rows[0].embeddings_ND.shape[1])
    for r, live_N, to_N in zip(rows, live, places, strict=True):
        codes_N[to_N] = np.searchsorted(names, r.names)[r.codes_N[live_N]]
        _copy(r.embeddings_ND, live_N, embeddings_ND, to_N)
    embeddings_ND.flags.writeable = False
    merged = Rows(build(embeddings_ND), ids_N[order_N], codes_N, names)
    return Merge(tuple(segments), merged, tuple(places))


def approximated(
    segments: Sequence[Segment], build: IndexFactory, approximate: ApproximateFactory
) -> Merge:
    """The live rows of some segments as one, or those of a single one as they are, approximated."""
    is_one = len(segments) == 1 and segments[0].approximation is None
    merged = Merge(tuple(segments), segments[0].rows, ()) if is_one else merge(segments, build)
    return replace(merged, approximation=approximation.approximate(merged.rows.index, approximate))


def _copy(
    from_ND: NDArray[np.float32],
    live_N: NDArray[np.int64] | slice,
    into_ND: NDArray[np.float32],
    places_N: NDArray[np.int64],
) -> None:
    """In blocks: as one, the live rows would stand in memory twice."""
    rows_N = np.arange(len(from_ND)) if isinstance(live_N, slice) else live_N
    for start in range(0, len(rows_N), COPIED_ROWS):
        block = slice(start, start + COPIED_ROWS)
        into_ND[places_N[block]] = from_ND[rows_N[block]]


def _died_since(before: Segment, after: Segment | None) -> NDArray[np.int64]:
    """Which of the rows that were live are dead now, counted among those live before."""
    if after is None:
        return np.arange(len(before))
    if after.is_live_N is before.is_live_N or after.is_live_N is None:
        return np.zeros(0, np.int64)
    return np.flatnonzero(~after.is_live_N[before.live_rows()])
