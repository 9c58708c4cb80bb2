"""Rows as lines of a terminal and as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar_training.comparison.rows import FLOORS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exemplar_training.comparison.rows import Row
    from exemplar_training.spread import Spread

_GAP = 2  # spaces between columns


def heads(columns: Sequence[str]) -> list[str]:
    """The words above the cells, but for the first, the name."""
    return [*columns, *(f"minus {floor}" for floor in FLOORS), "wall seconds", "processor seconds"]


def cells(row: Row, columns: Sequence[str], main: str) -> list[str]:
    """A row below `heads`: percent in each column, points above the floors in `main`, seconds."""
    gaps = [row.minus.get(floor) for floor in FLOORS]
    return [
        *(row.accuracies[column].percent() for column in columns),
        *("-" if gap is None else gap[main].percent("+") for gap in gaps),
        *(_seconds(each) for each in (row.wall_seconds, row.processor_seconds)),
    ]


def told(seeds: Sequence[int], main: str) -> str:
    """What the figures are."""
    which = f"seed {seeds[0]}" if len(seeds) == 1 else f"mean +- deviation over {len(seeds)} seeds"
    return f"Percent right, {which}; differences at {main}, seed by seed."


def lines(rows: Sequence[Row], columns: Sequence[str], main: str) -> list[str]:
    """The rows, with columns below each other and the words above them in two lines."""
    above, below = zip(*(head.rsplit(" ", 1) for head in heads(columns)), strict=True)
    table = [["", *above], ["", *below], *([row.name, *cells(row, columns, main)] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [_line(cell, widths) for cell in table]


def markdown(rows: Sequence[Row], columns: Sequence[str], main: str) -> list[str]:
    head = ["", *heads(columns)]
    body = [[row.name, *cells(row, columns, main)] for row in rows]
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *body)]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = row
    words = [cell.rjust(width + _GAP) for cell, width in zip(others, widths[1:], strict=True)]
    return (first.ljust(widths[0]) + "".join(words)).rstrip()


def _seconds(spread: Spread | None) -> str:
    return "-" if spread is None else f"{spread.mean:.1f}"
