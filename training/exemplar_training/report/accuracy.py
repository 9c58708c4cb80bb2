"""The verdict, and how accurate each head is with each embedding: a chart and the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar_training.report import chart
from exemplar_training.report.chart import Scale
from exemplar_training.report.markup import (
    NUMBER,
    element,
    figure,
    paragraph,
    percent,
    section,
    signed,
    span,
    table,
    with_half,
)

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from exemplar_training.evaluation.metrics import Interval
    from exemplar_training.report.findings import Findings, Subject
    from exemplar_training.report.markup import Child

_LEFT, _RIGHT, _TOP, _ROW, _GAP = 74, 300, 8, 17, 12


def verdict(found: Findings) -> Element:
    """One sentence, and a word before it that the interval allows."""
    after, before = found.after.main, found.before.main
    gap = after.minus(before)
    more = "more" if gap.mean >= 0 else "fewer"
    words = (
        f"{found.after.name} answers {percent(after.accuracy.mean)} % of the queries right, "
        f"{found.before.name} {percent(before.accuracy.mean)} %: {percent(abs(gap.mean))} points "
        f"{more}, 95 % interval {span(gap)}, on the same {found.drawn.trial.episodes} episodes "
        f"({found.main_told})."
    )
    strong = element("strong", {}, _judged(gap))
    return element("p", {"class": "verdict"}, strong, f" {words}")


def _judged(gap: Interval) -> str:
    if gap.mean - gap.half > 0:
        return "Better."
    return "Worse." if gap.mean + gap.half < 0 else "No difference is shown."


def accuracy(found: Findings) -> Element:
    shots = found.drawn.trial.n_shots
    names = list(enumerate(subject.name for subject in found.subjects))
    charts = [_figure(found, n_shot) for n_shot in sorted(shots)]
    return section(
        "Accuracy",
        paragraph(
            "Intervals are 95 %, over the draw of episodes from these images: other images or "
            "another training run may differ by more. AUROC: does the best similarity tell queries "
            "of these labels from as many of others? 0.5 is chance; there is none where the set "
            "has too few labels. ECE: the mean gap between an answer's score and how often such "
            "answers are right."
        ),
        chart.key(names),
        element("div", {"class": "charts"}, *charts),
        _differences(found),
        element("div", {"class": "charts"}, *[_table(found, n_shot) for n_shot in sorted(shots)]),
    )


def _figure(found: Findings, n_shot: int) -> Element:
    caption = f"{n_shot}-shot: percent right with 95 % interval; dashed: chance"
    return figure(caption, _chart(found, n_shot, caption))


def _chart(found: Findings, n_shot: int, words: str) -> Element:
    """A row for each head and embedding: interval, mark and number."""
    chance = 100 / found.drawn.trial.n_way
    values = [
        _percent_of(subject, head, n_shot) for subject in found.subjects for head in found.heads
    ]
    shown = chart.ticks(min(chance, *values), max(values))
    x = Scale(shown[0], shown[-1], _LEFT, _RIGHT)
    block = _ROW * len(found.subjects) + _GAP
    bottom = _TOP + block * len(found.heads)
    rows = [
        part
        for number, head in enumerate(found.heads)
        for part in _block(found, head, n_shot, x, _TOP + number * block)
    ]
    floor = chart.line(x(chance), _TOP, x(chance), bottom, "chance")
    axis = chart.x_axis(x, bottom, shown, "percent right")
    return chart.svg(bottom + 34, words, floor, *axis, *rows)


def _percent_of(subject: Subject, head: str, n_shot: int) -> float:
    return 100 * subject.at(head, n_shot).accuracy.mean


def _block(found: Findings, head: str, n_shot: int, x: Scale, top: float) -> list[Element]:
    parts = [chart.text(0, top + _ROW * len(found.subjects) / 2 + 4, head)]
    for number, subject in enumerate(found.subjects):
        value = subject.at(head, n_shot).accuracy
        y = top + _ROW * (number + 0.5)
        ends = [x(100 * (value.mean + sign * value.half)) for sign in (-1, 1)]
        words = f"{subject.name}, {head}, {n_shot}-shot: {with_half(value)} %"
        parts += [
            chart.line(ends[0], y, ends[1], y, f"interval s{number}"),
            chart.mark(x(100 * value.mean), y, number, words),
            chart.text(chart.WIDTH, y + 4, percent(value.mean), "end"),
        ]
    return parts


def _differences(found: Findings) -> Element:
    shots = sorted(found.drawn.trial.n_shots)
    head = ["Head", *(f"{n_shot}-shot" for n_shot in shots)]
    rows: list[list[Child]] = [
        [name, *(_gap(found, name, n_shot) for n_shot in shots)] for name in found.heads
    ]
    caption = (
        f"{found.after.name} minus {found.before.name} on the same episodes: points, and their "
        "95 % interval"
    )
    return table(caption, head, rows)


def _gap(found: Findings, head: str, n_shot: int) -> Element:
    gap = found.after.at(head, n_shot).minus(found.before.at(head, n_shot))
    ends = element("span", {"class": "ends"}, f"({span(gap)})")
    return element("td", NUMBER, f"{signed(gap.mean)} ", ends)


def _table(found: Findings, n_shot: int) -> Element:
    rows = [
        [f"{subject.name}, {head}", *_numbers(subject, head, n_shot)]
        for head in found.heads
        for subject in found.subjects
    ]
    caption = f"{n_shot}-shot, in {found.drawn.trial.n_way}-way episodes"
    return table(caption, ["Embedding, head", "% right", "AUROC", "ECE"], rows)


def _numbers(subject: Subject, head: str, n_shot: int) -> list[str]:
    o = subject.at(head, n_shot)
    ranked = f"{o.auroc.mean:.3f} \N{PLUS-MINUS SIGN} {o.auroc.half:.3f}" if o.auroc else "-"
    return [with_half(o.accuracy), ranked, f"{o.calibration_error:.2f}"]
