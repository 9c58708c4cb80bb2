"""Learning curves: what a run's log says, a chart for each number."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from exemplar_training.errors import CheckpointError
from exemplar_training.fit import metrics
from exemplar_training.report import chart
from exemplar_training.report.chart import Scale, ticks
from exemplar_training.report.markup import element, figure, section

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from xml.etree.ElementTree import Element

    Curve = list[tuple[float, float]]  # step and value

_NOT_LEARNING = {"step", "epoch", *metrics.SPEED}
_TITLES = {
    "loss": "loss of the batch",
    "accuracy": "right in the batch",
    "rate": "learning rate",
    "knn_accuracy": "right by nearest neighbors",
    "positive_similarity": "similarity of what belongs together",
    "negative_similarity": "similarity of what does not",
    "output_spread": "spread of outputs",
    "effective_rank": "effective rank of embeddings",
    "feature_spread": "spread of embeddings",
    "queue_age": "age of keys in steps",
    "ema_distance": "distance of the slow copy",
}
# Measured once an epoch, and written into every line until the next.
_EACH_EPOCH = {"knn_accuracy", "effective_rank", "feature_spread"}
_MOST_POINTS = 200
_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 220, 46, 322, 26, 182


def read_curves(run: Path) -> dict[str, Curve]:
    """Every number of the run's log but its speed, by name.

    Raises:
        CheckpointError: there is no log, nothing in it, or something else.
    """
    try:
        lines = metrics.read(run)
    except ValueError as error:
        raise CheckpointError(f"--run: {metrics.FILE}: expected JSON lines, got {error}") from error
    names = dict.fromkeys(name for line in lines for name in line if name not in _NOT_LEARNING)
    if not names:
        raise CheckpointError(f"--run: expected a folder with {metrics.FILE}, got {run}")
    return {name: _curve(lines, name) for name in names}


def learning_curves(name: str, curves: Mapping[str, Curve]) -> Element:
    charts = [_figure(told, curve) for told, curve in curves.items() if curve]
    return section(
        f"Learning curves of the run {name}", element("div", {"class": "charts"}, *charts)
    )


def _curve(lines: list[dict[str, float]], name: str) -> Curve:
    points = [(line["step"], line[name]) for line in lines if name in line]
    finite = [point for point in points if math.isfinite(point[1])]
    return _measured(finite) if name in _EACH_EPOCH else finite


def _measured(curve: Curve) -> Curve:
    """The points at which the value changes, and both ends."""
    changed = [after for before, after in itertools.pairwise(curve) if after[1] != before[1]]
    return list(dict.fromkeys([*curve[:1], *changed, *curve[-1:]]))


def thinned(curve: Curve) -> Curve:
    """The means of equal stretches, where there are more points than a chart can show."""
    stretches = np.array_split(np.array(curve), min(len(curve), _MOST_POINTS))
    return [(float(part[:, 0].mean()), float(part[:, 1].mean())) for part in stretches]


def _figure(name: str, curve: Curve) -> Element:
    is_share = name.endswith("accuracy")
    (first, start), (last, end) = curve[0], curve[-1]

    def told(value: float) -> str:
        return f"{100 * value:.4g} %" if is_share else f"{value:.3g}"

    words = f"{name}: {told(start)} at step {first:g}, {told(end)} at step {last:g}"
    if len(curve) > _MOST_POINTS:
        words += f"; a point is the mean of about {len(curve) / _MOST_POINTS:.0f} lines of the log"
    return figure(words, _chart(name, words, thinned(curve), told))


def _chart(name: str, words: str, curve: Curve, told: Callable[[float], str]) -> Element:
    steps, values = zip(*curve, strict=True)
    x_ticks = ticks(0, max(steps))
    y_ticks = ticks(min(values), max(values))
    x, y = Scale(0, x_ticks[-1], _LEFT, _RIGHT), Scale(y_ticks[0], y_ticks[-1], _BOTTOM, _TOP)
    line = chart.path([(x(step), y(value)) for step, value in curve], "curve")
    axes = chart.y_axis(y, _LEFT, _RIGHT, [(value, told(value)) for value in y_ticks])
    title = chart.text(0, 11, _TITLES.get(name, name))
    return chart.svg(_HEIGHT, words, title, *axes, *chart.x_axis(x, _BOTTOM, x_ticks, "step"), line)
