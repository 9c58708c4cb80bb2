"""Outcomes of a study of transfer, as tables to read and as JSON to keep."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


@dataclass(frozen=True)
class Spread:
    """Values of the seeds, in their order. `deviation` is the sample's; None of one value."""

    name: str
    teaching: int
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        return statistics.stdev(self.values) if len(self.values) > 1 else None


def accuracies(measured: Sequence[Measured]) -> list[Spread]:
    """A spread for each arm, head and number of parts, in the order in which they came."""
    values: dict[tuple[str, int], list[float]] = {}
    for each in measured:
        values.setdefault((f"{each.arm}, {each.head}", each.teaching), []).append(each.accuracy)
    return [Spread(name, count, tuple(found)) for (name, count), found in values.items()]


def differences(spreads: Sequence[Spread]) -> list[Spread]:
    """Each spread minus the first of its number of parts, seed by seed."""
    first: dict[int, Spread] = {}
    found = []
    for each in spreads:
        base = first.setdefault(each.teaching, each)
        if each is not base:
            gaps = tuple(a - b for a, b in zip(each.values, base.values, strict=True))
            found.append(Spread(each.name, each.teaching, gaps))
    return found


def tables(measured: Sequence[Measured]) -> list[str]:
    """Lines with a row an arm and head and a column a number of parts, in percent."""
    spreads = accuracies(measured)
    title = "percent right: mean, deviation over seeds"
    against = f"minus {spreads[0].name}, seed by seed, in points: mean, deviation, least"
    gaps = differences(spreads)
    return [*_table(title, spreads, _share), "", *_table(against, gaps, _gap)]


def as_json(measured: Sequence[Measured]) -> dict[str, Any]:
    """Every seed's share, and its difference to the first arm's."""
    spreads = accuracies(measured)
    return {
        "accuracies": [asdict(each) for each in spreads],
        "differences": [asdict(each) for each in differences(spreads)],
    }


def _table(title: str, spreads: Sequence[Spread], cell: Callable[[Spread], str]) -> list[str]:
    counts = sorted({each.teaching for each in spreads})
    rows: dict[str, dict[int, str]] = {}
    for each in spreads:
        rows.setdefault(each.name, {})[each.teaching] = cell(each)
    width = max(map(len, ["taught by", *rows]), default=0)
    head = "".join(_counted(count).rjust(_CELL_WIDTH) for count in counts)
    lines = [title, "taught by".ljust(width) + head]
    for name, cells in rows.items():
        line = "".join(cells[count].rjust(_CELL_WIDTH) for count in counts)
        lines.append(name.ljust(width) + line)
    return lines


def _counted(count: int) -> str:
    return f"{count} part" if count == 1 else f"{count} parts"


def _share(spread: Spread) -> str:
    return f"{100 * spread.mean:.1f}{_deviation(spread)}"


def _gap(spread: Spread) -> str:
    least = 100 * min(spread.values)
    return f"{100 * spread.mean:+.1f}{_deviation(spread)} ({least:+.1f})"


def _deviation(spread: Spread) -> str:
    return "" if spread.deviation is None else f" +- {100 * spread.deviation:.1f}"
