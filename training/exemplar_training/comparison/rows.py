"""What was measured, as rows: arms and floors, their spreads over the seeds, their differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exemplar_training.evaluation.run import RAW_PIXELS
from exemplar_training.spread import Spread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNTRAINED = "untrained"
FLOORS = (UNTRAINED, RAW_PIXELS)  # what an arm is held against


@dataclass(frozen=True)
class Measured:
    """Shares of right answers by column: of an arm's run, and of what it started from, untrained.

    Seconds are those of its steps.
    """

    arm: str
    accuracies: Mapping[str, float]
    untrained: str  # the name of the network without training
    untrained_accuracies: Mapping[str, float]
    wall_seconds: float
    processor_seconds: float


@dataclass(frozen=True)
class Row:
    """Spreads over the seeds: shares by column, the same minus each floor, and seconds of an arm.

    Raw pixels have no seed and so one value.
    """

    name: str
    is_arm: bool
    accuracies: dict[str, Spread]
    minus: dict[str, dict[str, Spread]]
    wall_seconds: Spread | None = None
    processor_seconds: Spread | None = None


def rows_of(measured: Sequence[Measured], raw: Mapping[str, float], sorted_by: str) -> list[Row]:
    """The arms in the order in which they came, then the floors; or all by a column's means."""
    by_arm: dict[str, list[Measured]] = {}
    for each in measured:
        by_arm.setdefault(each.arm, []).append(each)
    floors = {runs[0].untrained: runs for runs in by_arm.values()}  # equal for arms of one network
    rows = [
        *(_arm(name, runs, raw) for name, runs in by_arm.items()),
        *(_untrained(name, runs, raw) for name, runs in floors.items()),
        Row(RAW_PIXELS, False, _spreads([raw]), {}),
    ]
    if not sorted_by:
        return rows
    return sorted(rows, key=lambda row: -row.accuracies[sorted_by].mean)


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """All values of all seeds; shares in [0, 1]."""
    return [
        {
            "name": row.name,
            "is_arm": row.is_arm,
            "accuracies": _values(row.accuracies),
            "minus": {floor: _values(gaps) for floor, gaps in row.minus.items()},
            "wall_seconds": row.wall_seconds.values if row.wall_seconds else None,
            "processor_seconds": row.processor_seconds.values if row.processor_seconds else None,
        }
        for row in rows
    ]


def _arm(name: str, runs: Sequence[Measured], raw: Mapping[str, float]) -> Row:
    accuracies = _spreads([run.accuracies for run in runs])
    untrained = _spreads([run.untrained_accuracies for run in runs])
    return Row(
        name,
        True,
        accuracies,
        {
            UNTRAINED: _minus(accuracies, untrained),
            RAW_PIXELS: _minus(accuracies, _spreads([raw] * len(runs))),
        },
        Spread(tuple(run.wall_seconds for run in runs)),
        Spread(tuple(run.processor_seconds for run in runs)),
    )


def _untrained(name: str, runs: Sequence[Measured], raw: Mapping[str, float]) -> Row:
    accuracies = _spreads([run.untrained_accuracies for run in runs])
    gaps = _minus(accuracies, _spreads([raw] * len(runs)))
    return Row(name, False, accuracies, {RAW_PIXELS: gaps})


def _spreads(accuracies: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    """By column, one value for each of `accuracies`."""
    return {column: Spread(tuple(each[column] for each in accuracies)) for column in accuracies[0]}


def _minus(spreads: Mapping[str, Spread], others: Mapping[str, Spread]) -> dict[str, Spread]:
    return {column: spread.minus(others[column]) for column, spread in spreads.items()}


def _values(spreads: Mapping[str, Spread]) -> dict[str, tuple[float, ...]]:
    return {column: spread.values for column, spread in spreads.items()}
