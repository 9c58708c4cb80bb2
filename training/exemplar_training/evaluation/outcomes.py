"""Outcomes of an evaluation, as a table to read and as JSON to keep."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from exemplar_training.evaluation.heads import head_name, play
from exemplar_training.evaluation.metrics import (
    Interval,
    auroc,
    calibration_error,
    confusion,
    interval,
    paired_difference,
    recalls,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from exemplar_server.core.classify import ClassifyOptions
    from exemplar_training.evaluation.episodes import Episodes
    from exemplar_training.evaluation.heads import Played

_CONFUSIONS_KEPT = 20
_NAME_WIDTH = 30  # and more where a name is longer
_CELL_WIDTH = 26
_GAP = " " * len("  0.000  0.00")  # AUROC and ECE, which have no difference
_ACCURACY_WIDTH = _CELL_WIDTH - len(_GAP)


@dataclass(frozen=True)
class Confusion:
    """`share` of the queries of class `truth` were answered `answer`."""

    truth: str
    answer: str
    share: float


@dataclass(frozen=True)
class Outcome:
    """What an embedding and a head did in the episodes of one n_shot.

    Shares in [0, 1]. `auroc`, of known against unknown queries by their best similarity, is None
    where there were no unknown ones. `played` has every single answer.
    """

    embedding: str
    head: str
    n_shot: int
    accuracy: Interval
    auroc: Interval | None
    calibration_error: float
    recalls: dict[str, float]
    confusions: list[Confusion]  # the most frequent ones
    played: Played

    @property
    def name(self) -> str:
        return f"{self.embedding}, {self.head}"

    def minus(self, other: Outcome) -> Interval:
        """How much more accurate it is than `other`, on the same episodes."""
        return paired_difference(self.played.accuracy_E, other.played.accuracy_E)


@dataclass(frozen=True)
class Difference:
    """How much more accurate `name` is than `than`, episode by episode."""

    name: str
    than: str
    n_shot: int
    accuracy: Interval


def outcome(
    embedding: str,
    embeddings_ND: NDArray[np.float32],
    episodes: Episodes,
    options: ClassifyOptions,
    class_names: Sequence[str],
) -> Outcome:
    """Plays the episodes and measures the answers."""
    played = play(embeddings_ND, episodes, options)
    counts_CC = confusion(played.truth_EQ.ravel(), played.answer_EQ.ravel(), len(class_names))
    recalls_C = recalls(counts_CC)
    asked = np.flatnonzero(np.isfinite(recalls_C)).tolist()
    is_right_Q = (played.truth_EQ == played.answer_EQ).ravel()
    return Outcome(
        embedding,
        head_name(options),
        episodes.support_ELS.shape[2],
        interval(played.accuracy_E),
        _open_set(played),
        calibration_error(played.score_EQ.ravel(), is_right_Q),
        {class_names[c]: float(recalls_C[c]) for c in asked},
        _confusions(counts_CC, class_names),
        played,
    )


def differences(outcomes: Sequence[Outcome]) -> list[Difference]:
    """Every outcome beside the first of its n_shot, on the same episodes."""
    first: dict[int, Outcome] = {}
    found = []
    for other in outcomes:
        base = first.setdefault(other.n_shot, other)
        if other is not base:
            found.append(Difference(other.name, base.name, other.n_shot, other.minus(base)))
    return found


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """Lines with a row an embedding and head and a column an n_shot, in percent."""
    shots = sorted({o.n_shot for o in outcomes})
    rows: dict[str, dict[int, str]] = {}
    for o in outcomes:
        rows.setdefault(o.name, {})[o.n_shot] = _cell(o)
    head = "".join(f"{shot}-shot  auroc   ece".rjust(_CELL_WIDTH) for shot in shots)
    width = _name_width(rows)
    lines = [" " * width + head]
    for name, cells in rows.items():
        line = "".join(cells[shot].rjust(_CELL_WIDTH) for shot in shots)
        lines.append(name.ljust(width) + line)
    return lines


def differences_table(found: Sequence[Difference]) -> list[str]:
    """As `table`, of the differences to its first row, in points."""
    if not found:
        return []
    width = _name_width([found[0].than, *(gap.name for gap in found)])
    rows: dict[str, str] = {}
    for gap in sorted(found, key=lambda g: g.n_shot):
        cell = _points(gap.accuracy, "+").rjust(_ACCURACY_WIDTH) + _GAP
        rows[gap.name] = rows.get(gap.name, gap.name.ljust(width)) + cell
    title = f"minus {found[0].than}, on the same episodes"
    return [title, *(row.rstrip() for row in rows.values())]


def as_json(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Results and differences; shares in [0, 1], half intervals, no single episodes."""
    results = [{k: v for k, v in asdict(o).items() if k != "played"} for o in outcomes]
    return {"results": results, "differences": [asdict(gap) for gap in differences(outcomes)]}


def _open_set(played: Played) -> Interval | None:
    if not played.unknown_similarity_EM.shape[1]:
        return None
    pairs = zip(played.similarity_EQ, played.unknown_similarity_EM, strict=True)
    return interval(np.array([auroc(known_Q, unknown_M) for known_Q, unknown_M in pairs]))


def _confusions(counts_CC: NDArray[np.int64], class_names: Sequence[str]) -> list[Confusion]:
    """The wrong answers with the largest share of their class, most frequent first."""
    shares_CC = counts_CC / np.maximum(counts_CC.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(shares_CC, 0)
    order = np.argsort(-shares_CC, axis=None, kind="stable")[:_CONFUSIONS_KEPT]
    places = zip(*np.unravel_index(order, shares_CC.shape), strict=True)
    return [
        Confusion(class_names[truth], class_names[answer], float(shares_CC[truth, answer]))
        for truth, answer in places
        if shares_CC[truth, answer] > 0
    ]


def _name_width(names: Iterable[str]) -> int:
    return max(_NAME_WIDTH, *(len(name) + 2 for name in names))


def _cell(o: Outcome) -> str:
    ranked = f"{o.auroc.mean:.3f}" if o.auroc else "-".rjust(5)
    return f"{_points(o.accuracy)}  {ranked}  {o.calibration_error:.2f}"


def _points(value: Interval, sign: str = "") -> str:
    return f"{100 * value.mean:{sign}.1f} +- {100 * value.half:.1f}"
