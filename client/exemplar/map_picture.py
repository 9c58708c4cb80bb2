"""Draws a map as a PNG file for reports. The only file of the SDK that imports matplotlib.

Letters that matplotlib's font lacks, such as emoji, become boxes.
"""

from __future__ import annotations

import io
import math
import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.patheffects import withStroke

from exemplar.map_marks import NO_LABEL, colors, shapes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from exemplar.map_result import MapPoint, MapResult, PlacedQuery

SIZE_INCHES = (10.0, 7.0)
DOTS_PER_INCH = 150
INK = "#1d1f23"
SOFT = "#62656d"
ALERT = "#c92a2a"
# More pictures are a heap; more labels fill the legend's height.
PICTURES = 60
PICTURE_POINTS = 27.0
LEGEND_LABELS = 28
# Shapes are drawn one after the other; in so many rounds, so that none covers the others.
ROUNDS = 8

Looks = Mapping[str, tuple[str, str]]  # color and shape by label


def save(result: MapResult, path: str | os.PathLike[str]) -> None:
    figure = Figure(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.08)
    looks = _looks(result)
    for draw in (_draw_exemplars, _draw_suspects, _draw_queries, _draw_pictures, _draw_names):
        draw(axes, result, looks)
    _draw_heading(axes, result)
    _draw_legend(figure, result, looks)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(path, format="png")


def _looks(result: MapResult) -> Looks:
    names = result.labels
    return dict(zip(names, zip(colors(names), shapes(names), strict=True), strict=True))


def _radius(result: MapResult) -> float:
    """In points, of 1/72 inch: smaller where there are more to draw."""
    return max(1.0, min(4.5, 8.5 * math.pow(len(result.points) + 8, -0.2)))


def _draw_exemplars(axes: Axes, result: MapResult, looks: Looks) -> None:
    for at in range(ROUNDS):
        by_shape: dict[str, list[MapPoint]] = {}
        for point in result.points[at::ROUNDS]:
            by_shape.setdefault(looks[point.label][1], []).append(point)
        for shape, points in by_shape.items():
            inks = [looks[point.label][0] for point in points]
            _scatter(axes, points, shape, _radius(result), c=inks, linewidths=0, alpha=0.85)


def _draw_suspects(axes: Axes, result: MapResult, _looks: Looks) -> None:
    suspects = [point for point in result.points if point.exemplar_id in result.suspects]
    ring = {"facecolors": "none", "edgecolors": ALERT, "linewidths": 1.3, "zorder": 3}
    _scatter(axes, suspects, "o", _radius(result) + 1.7, **ring)


def _draw_queries(axes: Axes, result: MapResult, looks: Looks) -> None:
    """Stars; a circle with "?" where they belong to none of the labels."""
    size = max(4.5, 1.4 * _radius(result))
    edge = {"edgecolors": INK, "linewidths": 0.8, "zorder": 4}
    known = [query for query in result.queries if not query.is_unknown]
    inks = [looks[query.label][0] if query.label else NO_LABEL for query in known]
    _scatter(axes, known, "*", 1.4 * size, c=inks, **edge)
    unknown = [query for query in result.queries if query.is_unknown]
    _scatter(axes, unknown, "o", size, c="white", **edge)
    _scatter(axes, unknown, "$?$", 0.6 * size, c=INK, linewidths=0, zorder=5)


def _scatter(
    axes: Axes, places: Sequence[MapPoint | PlacedQuery], shape: str, radius: float, **look: Any
) -> None:
    xs, ys = [place.x for place in places], [place.y for place in places]
    axes.scatter(xs, ys, marker=shape, s=(2 * radius) ** 2, **look)


def _has_pictures(result: MapResult) -> bool:
    every: list[MapPoint | PlacedQuery] = [*result.points, *result.queries]
    return len(every) <= PICTURES and any(place.thumbnail for place in every)


def _draw_pictures(axes: Axes, result: MapResult, looks: Looks) -> None:
    if not _has_pictures(result):
        return
    for point in result.points:
        sign = "!" if point.exemplar_id in result.suspects else ""
        _draw_picture(axes, point, looks[point.label][0], sign)
    for query in result.queries:
        color = looks[query.label][0] if query.label else NO_LABEL
        _draw_picture(axes, query, color, "?" if query.is_unknown else "\u2605")


def _draw_picture(axes: Axes, place: MapPoint | PlacedQuery, color: str, sign: str) -> None:
    try:
        pixels = imread(io.BytesIO(place.thumbnail), format="jpg")
    except OSError:  # no picture, or a broken one: its mark stays
        return
    image = OffsetImage(pixels, zoom=PICTURE_POINTS / max(pixels.shape[:2]))
    frame = {"edgecolor": color, "facecolor": color, "linewidth": 1.5, "boxstyle": "round,pad=0.1"}
    order = 7 if sign else 6
    axes.add_artist(
        AnnotationBbox(image, (place.x, place.y), pad=0.1, bboxprops=frame, zorder=order)
    )
    corner = (PICTURE_POINTS / 2, PICTURE_POINTS / 2)
    badge = axes.annotate(sign, (place.x, place.y), corner, textcoords="offset points")
    badge.set(color="white", fontsize=8, fontweight="bold", ha="center", va="center", zorder=8)
    if sign:
        ink = ALERT if sign == "!" else INK
        badge.set_bbox({"boxstyle": "circle,pad=0.2", "facecolor": ink, "edgecolor": "white"})


def _draw_names(axes: Axes, result: MapResult, looks: Looks) -> None:
    if not 1 < len(looks) <= LEGEND_LABELS:
        return
    lift = PICTURE_POINTS / 2 + 3 if _has_pictures(result) else _radius(result) + 2
    reach = 0.06 * max(axes.dataLim.width, axes.dataLim.height)
    members: dict[str, list[MapPoint]] = {}
    for point in result.points:
        members.setdefault(point.label, []).append(point)
    for own in members.values():
        _draw_name(axes, _densest(own, reach), lift)


def _densest(own: Sequence[MapPoint], reach: float) -> MapPoint:
    """The one with most of the others around it; of about 100 of them, which tell as much."""
    some = own[:: max(1, len(own) // 100)]
    return max(some, key=lambda p: sum(math.hypot(p.x - q.x, p.y - q.y) < reach for q in some))


def _draw_name(axes: Axes, place: MapPoint, lift: float) -> None:
    name = _short(place.label, 24)
    text = axes.annotate(name, (place.x, place.y), (0, lift), textcoords="offset points")
    text.set(fontsize=8, fontweight="bold", ha="center", va="bottom", zorder=9, parse_math=False)
    text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def _draw_heading(axes: Axes, result: MapResult) -> None:
    title = axes.set_title("", fontsize=14, loc="left", pad=20)
    name = _short(result.support_set, 60) or "Images"
    title.set(text=name, parse_math=False, fontweight="bold")
    axes.text(0, 1.012, facts(result), transform=axes.transAxes, fontsize=9, color=SOFT)


def facts(result: MapResult) -> str:
    agreement = result.label_agreement if result.is_agreement_telling else None
    return " \u00b7 ".join(
        [f"{len(result.points):,} points"]
        + [f"revision {result.revision}"] * bool(result.revision)
        + [f"perplexity {result.perplexity:.3g}"] * bool(result.perplexity)
        + [f"trustworthiness {share:.2f}" for share in _given(result.trustworthiness)]
        + [f"among their own label {share:.0%}" for share in _given(agreement)]
    )


def _given(share: float | None) -> list[float]:
    return [] if share is None else [share]


def _draw_legend(figure: Figure, result: MapResult, looks: Looks) -> None:
    counts = Counter(point.label for point in result.points)
    largest = sorted(looks, key=lambda label: (-counts[label], label))[:LEGEND_LABELS]
    entries = _kinds(result)
    for label in sorted(largest):
        color, shape = looks[label]
        mark = Line2D([], [], color=color, marker=shape, linestyle="")
        entries.append((mark, f"{_short(label, 24) or 'no label'} ({counts[label]:,})"))
    if len(looks) > len(largest):
        more = f"and {len(looks) - len(largest):,} smaller labels"
        entries.append((Line2D([], [], linestyle=""), more))
    marks = [mark for mark, _ in entries]
    legend = figure.legend(
        marks, [" "] * len(marks), loc="outside right upper", frameon=False, borderaxespad=1.2
    )
    for text, (_, name) in zip(legend.get_texts(), entries, strict=True):
        text.set(text=name, parse_math=False, fontsize=8.5)


def _kinds(result: MapResult) -> list[tuple[Line2D, str]]:
    suspects = sum(point.exemplar_id in result.suspects for point in result.points)
    unknown = sum(query.is_unknown for query in result.queries)
    ring = Line2D([], [], linestyle="", marker="o", markerfacecolor="none", markeredgecolor=ALERT)
    star = Line2D([], [], linestyle="", marker="*", color=INK, markersize=9)
    mark = Line2D([], [], linestyle="", marker="$?$", color=INK)
    kinds = [
        (ring, "likely mislabelled", suspects),
        (star, "queries", len(result.queries) - unknown),
        (mark, "none of these", unknown),
    ]
    return [(mark, f"{name} ({count:,})") for mark, name, count in kinds if count]


def _short(name: str, length: int) -> str:
    """On one line."""
    line = " ".join(name.split())
    return line if len(line) <= length else line[: length - 1] + "\u2026"
