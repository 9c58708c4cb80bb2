"""Label by label: recalls beside those before, and which label is taken for which.

Shapes: C classes, S shown classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from exemplar_training.evaluation.metrics import confusion
from exemplar_training.report.markup import element, paragraph, percent, section, signed, table

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from numpy.typing import NDArray

    from exemplar_training.report.findings import Findings, Subject
    from exemplar_training.report.markup import Child

MOST_ROWS = 20
MOST_CONFUSED = 10
_OTHERS = "others"
_LEAST_WRITTEN = 0.005  # rounds to 1 percent
_NOTHING = 1e-9  # what floats leave of 0


def labels(found: Findings) -> Element:
    shown = shown_class_ids(found)
    matrices = [_matrix(found, subject, shown) for subject in (found.before, found.after)]
    trial = found.drawn.trial
    return section(
        "Labels",
        paragraph(
            f"All queries of {trial.episodes:,} episodes ({found.main_told}). In an episode only "
            f"its {trial.n_way} labels can be answered."
        ),
        _recalls(found),
        element("div", {"class": "charts"}, *matrices),
    )


def shown_class_ids(found: Findings) -> list[int]:
    """All classes where they are few, else the most confused ones: ascending.

    Classes are taken from the pairs that are confused most often, before and after alike, until
    there are enough of them.
    """
    counts_CC = _counts(found, found.before) + _counts(found, found.after)
    asked = np.flatnonzero(counts_CC.any(axis=1))
    if len(asked) <= MOST_CONFUSED:
        return [int(class_id) for class_id in asked]
    np.fill_diagonal(counts_CC, 0)
    order = np.argsort(-counts_CC, axis=None, kind="stable")[: MOST_CONFUSED**2]
    pairs = np.stack(np.unravel_index(order, counts_CC.shape), axis=1)
    return sorted(list(dict.fromkeys(pairs.ravel().tolist()))[:MOST_CONFUSED])


def _counts(found: Findings, subject: Subject) -> NDArray[np.int64]:
    """How often each class's queries got each answer, (C, C)."""
    played, class_count = subject.main.played, len(found.images.class_names)
    return confusion(played.truth_EQ.ravel(), played.answer_EQ.ravel(), class_count)


def _recalls(found: Findings) -> Element:
    after, before = found.after.main.recalls, found.before.main.recalls
    asked_C = _counts(found, found.after).sum(axis=1)
    asked = dict(zip(found.images.class_names, asked_C.tolist(), strict=True))
    gaps = {name: share - before[name] for name, share in after.items()}
    lowest = sorted(after, key=lambda name: (after[name], -asked[name], name))[:MOST_ROWS]
    better, worse = (sum(sign * gap > 0 for gap in gaps.values()) for sign in (1, -1))
    some = f"{len(lowest)} of {len(after):,} labels, " if len(lowest) < len(after) else ""
    caption = (
        f"Recall: percent of a label's queries that were answered right; {some}lowest first. "
        f"Labels better: {better}, worse: {worse}, equal: {len(after) - better - worse}"
    )
    head = ["Label", "Queries", found.before.name, found.after.name, "Points"]
    rows: list[list[Child]] = [
        [name, f"{asked[name]:,}", _bar(before[name], 1), _bar(after[name], 0), signed(gaps[name])]
        for name in lowest
    ]
    return table(caption, head, rows)


def _bar(share: float, series: int) -> Element:
    attributes = {"class": "number bar", "style": f"--share:{share:.3f};--bar:var(--s{series})"}
    return element("td", attributes, percent(share))


def _matrix(found: Findings, subject: Subject, shown: list[int]) -> Element:
    """A table whose colors say nothing that its numbers do not."""
    counts_CC = _counts(found, subject)
    shares_CC = counts_CC / np.maximum(counts_CC.sum(axis=1, keepdims=True), 1)
    shares_SS = shares_CC[np.ix_(shown, shown)]
    names = [found.images.class_names[class_id] for class_id in shown]
    has_others = len(shown) < len(found.after.main.recalls)
    rows: list[list[Child]] = []
    for name, class_id, shares_S in zip(names, shown, shares_SS, strict=True):
        others = [shares_CC[class_id].sum() - shares_S.sum()] if has_others else []
        rows.append([name, *(_heat(float(share)) for share in [*shares_S, *others])])
    which = f"the {len(shown)} most confused labels" if has_others else "all labels"
    caption = f"{subject.name}: percent of a label's queries (row) by answer (column); {which}"
    heads = [element("span", {}, name) for name in [*names, *([_OTHERS] if has_others else [])]]
    made = table(caption, ["Label", *heads], rows)
    made.set("class", "scroll matrix")
    return made


def _heat(share: float) -> Element:
    attributes = {"class": "number heat", "style": f"--share:{share:.3f}"}
    return element("td", attributes, _whole(share))


def _whole(share: float) -> str:
    """Percent without decimals; what is rare is not said to be nothing."""
    if share >= _LEAST_WRITTEN:
        return f"{100 * share:.0f}"
    return "<1" if share > _NOTHING else "\N{MIDDLE DOT}"
