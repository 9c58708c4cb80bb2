"""A comparison as one HTML page in the style of a report: bars with their spread, and the table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from exemplar_training.comparison import table as tables
from exemplar_training.comparison.verdict import verdict
from exemplar_training.report import chart
from exemplar_training.report.chart import Scale
from exemplar_training.report.facts import episodes_told, origin
from exemplar_training.report.markup import (
    description,
    element,
    figure,
    paragraph,
    percent,
    section,
    table,
)
from exemplar_training.report.page import filled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

    from exemplar_training.comparison.rows import Row
    from exemplar_training.comparison.study import Study
    from exemplar_training.evaluation.trial import Drawn

_LEFT, _RIGHT, _TOP, _ROW, _NAME, _BAR = 4, 296, 2, 34, 16, 11
_MINUS = re.compile(r"(?<!\S)-(?=\d)")


def page(study: Study, drawn: Drawn, rows: Sequence[Row], warnings: Sequence[str]) -> bytes:
    """UTF-8; no network, no script."""
    title = f"{len(study.arms)} ways to make a backbone, on {drawn.images.name}"
    words = _plain(verdict(rows, study.main))
    head = element("header", {}, element("h1", {}, title), paragraph(words, {"class": "verdict"}))
    return filled(title, [head, _facts(study, drawn, warnings), _accuracy(study, drawn, rows)])


def _facts(study: Study, drawn: Drawn, warnings: Sequence[str]) -> Element:
    trial = drawn.trial
    parts = f", {', '.join(trial.parts)}" if trial.parts else ""
    images = f"{len(drawn.images):,} images of {drawn.class_count:,} labels, {drawn.sources_told}"
    told = {
        "Images": f"{drawn.images.name}{parts}: {images}",
        **({"Labels": ", ".join(trial.classes)} if trial.classes else {}),
        **origin(trial),
        "Episodes": episodes_told(trial),
        "Seeds": f"{', '.join(map(str, study.seeds))}: of the training, not of the episodes",
        "Untrained": "the same network with the random weights of the seed",
        "Raw pixels": "what no backbone at all would answer: the images at 32 x 32 as unit vectors",
    }
    marked = [
        element("p", {"class": "warning"}, element("strong", {}, "Seen in training. "), words)
        for words in warnings
    ]
    arms = {name: overrides or "as shared" for name, overrides in study.arms.items()}
    return section(
        "What was compared",
        description(told),
        *marked,
        element("details", {}, element("summary", {}, "Settings of the arms"), description(arms)),
    )


def _accuracy(study: Study, drawn: Drawn, rows: Sequence[Row]) -> Element:
    head = study.main.partition(",")[0]
    shown = [column for column in study.columns if column.startswith(f"{head},")]
    chance = 1 / drawn.trial.n_way
    charts = [figure(_caption(each), _chart(rows, each, chance)) for each in shown]
    told = _plain(tables.told(study.seeds, study.main))
    cells = [[row.name, *map(_plain, tables.cells(row, study.columns, study.main))] for row in rows]
    heads = [each.replace("-", "\N{NON-BREAKING HYPHEN}") for each in tables.heads(study.columns)]
    made = table(told, ["", *heads], cells)
    made.set("class", "scroll wide")
    return section(
        "Accuracy",
        paragraph(
            "The spread is that of training runs, on the same images and episodes: other images "
            "may differ by more. Seconds are those of the training steps, on this machine."
        ),
        element("div", {"class": "charts"}, *charts),
        made,
    )


def _caption(column: str) -> str:
    spread = "line: mean \N{PLUS-MINUS SIGN} deviation; dots: seeds"
    return f"{column}: percent right; {spread}; dashed: chance"


def _chart(rows: Sequence[Row], column: str, chance: float) -> Element:
    """A bar from 0 for each row, with its name above it."""
    x = Scale(0, 100, _LEFT, _RIGHT)
    bottom = _TOP + _ROW * len(rows)
    bars = [
        part
        for place, row in enumerate(rows)
        for part in _bar(row, column, x, _TOP + _ROW * place, x(100 * chance))
    ]
    axis = chart.x_axis(x, bottom, range(0, 101, 25), "percent right")
    return chart.svg(bottom + 34, _caption(column), *bars, *axis)


def _bar(row: Row, column: str, x: Scale, top: float, chance: float) -> list[Element]:
    spread, series = row.accuracies[column], 0 if row.is_arm else -1
    kind = "s0" if row.is_arm else "rest"
    upper, middle, half = top + _NAME, top + _NAME + _BAR / 2, spread.deviation or 0.0
    ends = [x(100 * (spread.mean + sign * half)) for sign in (-1, 1)]
    words = f"{row.name}, {column}: {_plain(spread.percent())} %"
    return [
        chart.text(_LEFT, upper - 4, row.name),
        chart.bar((_LEFT, upper), (x(100 * spread.mean), upper + _BAR), kind, words),
        chart.line(chance, upper - 2, chance, upper + _BAR + 2, "chance"),
        chart.line(ends[0], middle, ends[1], middle, f"interval {kind}"),
        *(chart.mark(x(100 * value), middle, series) for value in spread.values),
        chart.text(chart.WIDTH, middle + 4, percent(spread.mean), "end"),
    ]


def _plain(words: str) -> str:
    """With the signs that a terminal may not have."""
    return _MINUS.sub("\N{MINUS SIGN}", words.replace("+-", "\N{PLUS-MINUS SIGN}"))
