"""Shares that were measured, and how sure they are."""

from __future__ import annotations

from dataclasses import dataclass

Z = 1.959964  # of a normal distribution's middle 95 %


@dataclass(frozen=True)
class Accuracy:
    """A share, the ends of its 95 % interval, and how many exemplars it was measured on."""

    value: float
    low: float
    high: float
    exemplar_count: int


def accuracy(right: int, count: int) -> Accuracy | None:
    """With the interval of Wilson 1927, "Probable Inference"; None for a count of 0."""
    if not count:
        return None
    middle = (right + Z**2 / 2) / (count + Z**2)
    half = (Z**2 * right * (count - right) / count + Z**4 / 4) ** 0.5 / (count + Z**2)
    return Accuracy(right / count, max(0.0, middle - half), min(1.0, middle + half), count)
