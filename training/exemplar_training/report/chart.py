"""What all charts are made of: scales, ticks, axes and marks, as inline SVG.

Charts are 340 units wide, so that their words stay readable on a phone; colors are the page's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exemplar_training.report.markup import element

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

WIDTH = 340
SERIES = 10  # colors that the page has
_STEPS = (1, 2, 5, 10)
# Marks of 3 units around the origin: circle, square, triangle, diamond, cross. With ten colors no
# two series share both, and neither alone has to tell them apart.
_MARKS = (
    "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0",
    "M-2.7-2.7h5.4v5.4h-5.4z",
    "M0-3.4L3.2 2.4h-6.4z",
    "M0-3.7L3.7 0L0 3.7L-3.7 0z",
    "M-3-2L-2-3L0-1L2-3L3-2L1 0L3 2L2 3L0 1L-2 3L-3 2L-1 0z",
)


@dataclass(frozen=True)
class Scale:
    """Values low..high at the places start..end; linear."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        width = (self.high - self.low) or 1.0
        return round(self.start + (value - self.low) / width * (self.end - self.start), 1)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers that hold low..high between the first and the last; at most `most` + 2."""
    width = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(width / most))
    step = next(power * each for each in _STEPS if width / (power * each) <= most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]


def svg(height: float, words: str, *children: Element) -> Element:
    """A chart; `words` say to those who do not see it what it shows."""
    attributes = {"viewBox": f"0 0 {WIDTH} {height}", "role": "img", "aria-label": words}
    return element("svg", attributes, *children)


def text(x: float, y: float, words: str, anchor: str = "start") -> Element:
    return element("text", {"x": x, "y": y, "text-anchor": anchor}, words)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Element:
    return element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": kind})


def path(points: Sequence[tuple[float, float]], kind: str) -> Element:
    places = " ".join(f"{x:g},{y:g}" for x, y in points)
    return element("polyline", {"points": places, "class": kind})


def mark(x: float, y: float, series: int, words: str = "") -> Element:
    """The mark of a series, counted from 0; -1 is what belongs to none. `words` on hovering."""
    shape = _MARKS[series % len(_MARKS)] if series >= 0 else _MARKS[0]
    kind = f"s{series % SERIES}" if series >= 0 else "rest"
    attributes = {"d": shape, "transform": f"translate({x:g} {y:g})", "class": kind}
    return element("path", attributes, *([element("title", {}, words)] if words else []))


def bar(
    upper_left: tuple[float, float], lower_right: tuple[float, float], kind: str, words: str
) -> Element:
    """A rectangle; `words` on hovering."""
    (x, y), (right, bottom) = upper_left, lower_right
    attributes = {"x": x, "y": y, "width": round(right - x, 1), "height": bottom - y, "class": kind}
    return element("rect", attributes, element("title", {}, words))


def key(names: Sequence[tuple[int, str]]) -> Element:
    """A legend: marks and the names of their series."""
    entries = [element("li", {}, _sample(series), name) for series, name in names]
    return element("ul", {"class": "key"}, *entries)


def x_axis(scale: Scale, y: float, values: Sequence[float], told: str) -> list[Element]:
    """Values below a line at y, and below them what they are."""
    marks = [text(scale(value), y + 14, f"{value:g}", "middle") for value in values]
    name = text((scale.start + scale.end) / 2, y + 28, told, "middle")
    return [line(scale.start, y, scale.end, y, "axis"), *marks, name]


def y_axis(
    scale: Scale, left: float, right: float, shown: Sequence[tuple[float, str]]
) -> list[Element]:
    """Lines from left to right at the values, which are written left of them."""
    lines = [line(left, scale(value), right, scale(value), "grid") for value, _ in shown]
    words = [text(left - 5, scale(value) + 4, word, "end") for value, word in shown]
    return [*lines, *words]


def _sample(series: int) -> Element:
    attributes = {"viewBox": "-5 -5 10 10", "class": "sample", "aria-hidden": "true"}
    return element("svg", attributes, mark(0, 0, series))
