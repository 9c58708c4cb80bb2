"""Outcomes of a study of transfer, as tables to read and as JSON to keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exemplar_training.spread import Spread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Spreads = dict[tuple[str, int], Spread]  # by arm and head, and by how many parts taught

OWN_HEAD, PROTOTYPE = "own head", "prototype"
_CELL_WIDTH = 22


@dataclass(frozen=True)
class Measured:
    """The share, in [0, 1], of the judging images that an arm's run and a head got right."""

    arm: str
    head: str
    teaching: int
    seed: int
    accuracy: float


def accuracies(measured: Sequence[Measured]) -> Spreads:
    """A spread for each arm, head and number of parts, in the order in which they came."""
    values: dict[tuple[str, int], list[float]] = {}
    for each in measured:
        values.setdefault((f"{each.arm}, {each.head}", each.teaching), []).append(each.accuracy)
    return {place: Spread(tuple(found)) for place, found in values.items()}


def differences(spreads: Spreads) -> Spreads:
    """Each spread minus the first of its number of parts, seed by seed."""
    first: dict[int, Spread] = {}
    found = {}
    for (name, count), spread in spreads.items():
        base = first.setdefault(count, spread)
        if spread is not base:
            found[name, count] = spread.minus(base)
    return found


def tables(measured: Sequence[Measured]) -> list[str]:
    """Lines with a row an arm and head and a column a number of parts, in percent."""
    spreads = accuracies(measured)
    title = "percent right: mean, deviation over seeds"
    first, _ = next(iter(spreads))
    against = f"minus {first}, seed by seed, in points: mean, deviation, least"
    gaps = differences(spreads)
    return [*_table(title, spreads, Spread.percent), "", *_table(against, gaps, _gap)]


def as_json(measured: Sequence[Measured]) -> dict[str, Any]:
    """Every seed's share, and its difference to the first arm's."""
    spreads = accuracies(measured)
    return {
        "accuracies": _plain(spreads),
        "differences": _plain(differences(spreads)),
    }


def _plain(spreads: Spreads) -> list[dict[str, Any]]:
    return [
        {"name": name, "teaching": count, "values": spread.values}
        for (name, count), spread in spreads.items()
    ]


def _table(title: str, spreads: Spreads, cell: Callable[[Spread], str]) -> list[str]:
    counts = sorted({count for _, count in spreads})
    rows: dict[str, dict[int, str]] = {}
    for (name, count), spread in spreads.items():
        rows.setdefault(name, {})[count] = cell(spread)
    width = max(map(len, ["taught by", *rows]), default=0)
    head = "".join(_counted(count).rjust(_CELL_WIDTH) for count in counts)
    lines = [title, "taught by".ljust(width) + head]
    for name, cells in rows.items():
        line = "".join(cells[count].rjust(_CELL_WIDTH) for count in counts)
        lines.append(name.ljust(width) + line)
    return lines


def _counted(count: int) -> str:
    return f"{count} part" if count == 1 else f"{count} parts"


def _gap(spread: Spread) -> str:
    return f"{spread.percent('+')} ({100 * min(spread.values):+.1f})"
