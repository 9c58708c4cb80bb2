"""What a comparison comes to, in a sentence that the spread over the seeds allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar_training.comparison.rows import FLOORS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exemplar_training.comparison.rows import Row


def best_arm(rows: Sequence[Row], main: str) -> Row:
    return max((row for row in rows if row.is_arm), key=lambda row: row.accuracies[main].mean)


def verdict(rows: Sequence[Row], main: str) -> str:
    """The best arm, and how far it is above the floors and above the next arm, seed by seed."""
    best = best_arm(rows, main)
    gaps = {floor: best.minus[floor][main] for floor in FLOORS}
    others = [row for row in rows if row.is_arm and row is not best]
    if others:
        following = best_arm(others, main)
        gap = best.accuracies[main].minus(following.accuracies[main])
        gaps[f"{following.name}, the next"] = gap
    above = ", ".join(f"{gap.percent('+')} against {name}" for name, gap in gaps.items())
    words = f"Best at {main}: {best.name}, {best.accuracies[main].percent()} %; points: {above}."
    floors = [floor for floor in FLOORS if gaps[floor].mean <= 0]
    return f"{words} No arm is better than {' and '.join(floors)}." if floors else words
