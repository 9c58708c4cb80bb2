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
    """The best arm, how far it is above the floors, and above the next arm."""
    best = best_arm(rows, main)
    above = [f"{best.minus[floor][main].percent('+')} points to {floor}" for floor in FLOORS]
    words = f"Best at {main}: {best.name}, {best.accuracies[main].percent()} %, {', '.join(above)}"
    others = [row for row in rows if row.is_arm and row is not best]
    if not others:
        return f"{words}."
    following = best_arm(others, main)
    gap = best.accuracies[main].minus(following.accuracies[main])
    return f"{words}, {gap.percent('+')} to {following.name}, the next."
