"""A number for each seed of a study, and what is told of them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """One value a seed, one at least, in the order of the seeds."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """The sample's (n - 1); None of one value."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def minus(self, other: Spread) -> Spread:
        """The differences, seed by seed; `other` has as many values."""
        pairs = zip(self.values, other.values, strict=True)
        return Spread(tuple(value - base for value, base in pairs))

    def percent(self, sign: str = "") -> str:
        """Mean and deviation of shares as percent, such as 83.1 +- 0.5; "+" as `sign` for gaps."""
        spread = "" if self.deviation is None else f" +- {100 * self.deviation:.1f}"
        mean = round(100 * self.mean, 1) + 0.0  # no minus before a 0.0
        return f"{mean:{sign}.1f}{spread}"
