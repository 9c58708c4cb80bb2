"""Which segments of a snapshot are due to become one, and the snapshot after they did.

Each segment has at least twice the rows of the next smaller one, as in a log-structured merge tree:
a row is copied log2(N) times in all, and a search meets log2(N) segments at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar_server.core import approximation
from exemplar_server.core.snapshot import TAIL_ROWS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from exemplar_server.core.merge import Merge
    from exemplar_server.core.segments import Rows, Segment
    from exemplar_server.core.snapshot import Snapshot

QUICK, SLOW = "quick", "slow"  # whether it ends with an approximation

# Above this share of dead rows, over-fetching costs more than one copy of the live ones.
COMPACT_DEAD_SHARE = 0.2


def due(snapshot: Snapshot, busy: Collection[Rows] = (), kind: str = QUICK) -> tuple[Segment, ...]:
    """The segments that are to become one next, the smallest first; empty where all is well.

    `busy` are the rows that are being merged already. The tail is left to core/snapshot.py. What is
    SLOW is to be approximated, and may be a single segment that is well but for that.
    """
    last = snapshot.segments[-1:]
    has_tail = any(len(segment.rows) <= TAIL_ROWS for segment in last)
    sealed = snapshot.segments[:-1] if has_tail else snapshot.segments
    idle = sorted((s for s in sealed if s.rows not in busy), key=len)
    is_large = _is_large(snapshot)
    while group := _alike(idle) or _decayed(idle):
        is_slow = is_large and sum(map(len, group)) >= approximation.FROM_ROWS
        if is_slow == (kind == SLOW):
            return group
        idle = [segment for segment in idle if segment not in group]
    if is_large and kind == SLOW:
        return next(((s,) for s in idle if _is_unknown(s)), ())
    return ()


def _is_large(snapshot: Snapshot) -> bool:
    """Not so large is enough where it was larger: it must not change to and fro."""
    is_known = any(segment.approximation for segment in snapshot.segments)
    least = approximation.DOWN_TO_EXEMPLARS if is_known else approximation.FROM_EXEMPLARS
    return snapshot.live_count >= least


def _is_unknown(segment: Segment) -> bool:
    return segment.approximation is None and len(segment) >= approximation.FROM_ROWS


def adopt(snapshot: Snapshot, merge: Merge) -> Snapshot | None:
    """The snapshot with the merged segment; None where it has none of those that were merged.

    What was removed since the merge began is dead in the merged segment, too.
    """
    now = {segment.rows: segment for segment in snapshot.segments}
    if not any(segment.rows in now for segment in merge.segments):
        return None
    merged = merge.segment([now.get(segment.rows) for segment in merge.segments])
    gone = {segment.rows for segment in merge.segments}
    kept = [segment for segment in snapshot.segments if segment.rows not in gone]
    # In front: the last one may be the tail.
    return snapshot.with_segments((merged, *kept) if len(merged) else tuple(kept))


def _alike(by_size: Sequence[Segment]) -> tuple[Segment, ...]:
    for start, smallest in enumerate(by_size):
        rows, end = len(smallest), start + 1
        while end < len(by_size) and len(by_size[end]) < 2 * rows:
            rows += len(by_size[end])
            end += 1
        if end > start + 1:
            return tuple(by_size[start:end])
    return ()


def _decayed(by_size: Sequence[Segment]) -> tuple[Segment, ...]:
    for segment in by_size:
        if segment.dead > COMPACT_DEAD_SHARE * len(segment.rows):
            return (segment,)
    return ()
