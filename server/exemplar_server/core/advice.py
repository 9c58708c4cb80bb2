"""Says which labels need more exemplars, about how many, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exemplar_server.core.heads import RIDGE_EXEMPLARS
from exemplar_server.core.intervals import Z

if TYPE_CHECKING:
    from exemplar_server.core.intervals import Accuracy

# Half the 95 % interval of a recall that is still worth knowing: 80 % is then 60 to 90 or so.
HALF_WIDTH = 0.2


@dataclass(frozen=True)
class Advice:
    """About so many exemplars more; 0 and no words where none are needed."""

    exemplars_needed: int
    words: str


@dataclass(frozen=True)
class Mistaken:
    """What a label's exemplars are most often answered with, if not with their own label."""

    answer: str
    exemplar_count: int


def advice(
    exemplar_count: int, recall: Accuracy | None, mistaken: Mistaken | None, overall: float | None
) -> Advice:
    """The most that any reason asks for, and every reason's words.

    The reasons are
    - one exemplar, or fewer than RIDGE_EXEMPLARS: as many as are missing;
    - a recall whose interval lies below the set's accuracy: as many again;
    - else, a recall that is known to no better than HALF_WIDTH: as many as would tell it that well.
    """
    reasons = []
    if exemplar_count < RIDGE_EXEMPLARS:
        reasons.append(_few(exemplar_count))
    if recall is not None and overall is not None and recall.high < overall:
        reasons.append(_low(recall, overall, mistaken))
    elif recall is not None and exemplar_count >= RIDGE_EXEMPLARS:
        reasons += _vague(recall, mistaken)
    words = " ".join(reason.words for reason in reasons)
    return Advice(max((reason.exemplars_needed for reason in reasons), default=0), words)


def _few(exemplar_count: int) -> Advice:
    words = f"With {RIDGE_EXEMPLARS} exemplars of each label and more, answers get better still."
    if exemplar_count == 1:
        words = "It has one exemplar, so its recall cannot be told."
    return Advice(RIDGE_EXEMPLARS - exemplar_count, words)


def _low(recall: Accuracy, overall: float, mistaken: Mistaken | None) -> Advice:
    words = (
        f"Only {_percent(recall.value)} of its exemplars are answered right, "
        f"{_percent(overall)} of all are.{_confused(mistaken)}"
    )
    return Advice(recall.exemplar_count, words)


def _vague(recall: Accuracy, mistaken: Mistaken | None) -> list[Advice]:
    if recall.high - recall.low <= 2 * HALF_WIDTH:
        return []
    wanted = math.ceil(Z**2 * recall.value * (1 - recall.value) / HALF_WIDTH**2)
    words = (
        f"So few exemplars leave it open whether {_percent(recall.low)} or "
        f"{_percent(recall.high)} of its images are answered right.{_confused(mistaken)}"
    )
    return [Advice(max(1, wanted - recall.exemplar_count), words)]


def _confused(mistaken: Mistaken | None) -> str:
    """A single mistake says nothing of the other label."""
    if mistaken is None or mistaken.exemplar_count == 1:
        return ""
    return (
        f" {mistaken.exemplar_count} are taken for {mistaken.answer!r}: add exemplars of both that "
        "show the difference."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
