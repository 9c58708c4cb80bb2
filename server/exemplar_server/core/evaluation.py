"""Tells how good a support set is: every exemplar answered by the others.

Shapes: N exemplars, by id; M exemplars whose label has another one; L labels, K neighbors,
P pairs.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core import heads
from exemplar_server.core.advice import Mistaken, advice
from exemplar_server.core.duplicates import near_duplicates
from exemplar_server.core.intervals import accuracy
from exemplar_server.core.leave_one_out import LeftOut
from exemplar_server.core.snapshot import Neighbor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from exemplar_server.core.exemplars import SupportSet
    from exemplar_server.core.intervals import Accuracy
    from exemplar_server.core.snapshot import Snapshot

SPEAKERS = 3
CONFUSED = 20
# Every pair is compared: 7 s for so many of 1,280 dimensions, four times as long for twice as many.
MOST_COMPARED = 20_000


@dataclass(frozen=True)
class LabelEvaluation:
    """`recall` and `precision` are None where no exemplar tells them.

    About `exemplars_needed` more would help, for the reasons that `advice` says; 0 and "" for none.
    """

    label: str
    exemplar_count: int
    recall: Accuracy | None
    precision: Accuracy | None
    exemplars_needed: int
    advice: str


@dataclass(frozen=True)
class Confusion:
    """So many exemplars of `label` are answered with another one; CONFUSED ids, surest first."""

    label: str
    answer: str
    exemplar_count: int
    exemplar_ids: list[str]


@dataclass(frozen=True)
class Suspect:
    """An exemplar that another label fits better than its own; `suspicion` in [0, 1]."""

    exemplar_id: str
    label: str
    suggested_label: str
    suspicion: float
    neighbors: list[Neighbor]


@dataclass(frozen=True)
class Duplicate:
    """Two exemplars that are nearly the same image."""

    exemplar_id: str
    label: str
    other_exemplar_id: str
    other_label: str
    similarity: float


@dataclass(frozen=True)
class Evaluation:
    """What the others answer each exemplar whose label has another one.

    `head` is never AUTO. Labels come by name, confusions the most frequent and suspects the
    likeliest first, duplicates across labels first, then the closest. No accuracy where no label
    has a second exemplar.
    """

    support_set: SupportSet
    head: str
    accuracy: Accuracy | None
    labels: list[LabelEvaluation]
    confusions: list[Confusion]
    suspects: list[Suspect]
    duplicates: list[Duplicate]

    def named_ids(self, most: int) -> list[str]:
        """The first `most` exemplars that findings name: of suspects, duplicates, confusions."""
        ids: dict[str, None] = {}
        for suspect in self.suspects:
            ids |= dict.fromkeys([suspect.exemplar_id, *(n.exemplar_id for n in suspect.neighbors)])
        for pair in self.duplicates:
            ids |= dict.fromkeys([pair.exemplar_id, pair.other_exemplar_id])
        for confusion in self.confusions:
            ids |= dict.fromkeys(confusion.exemplar_ids)
        return list(ids)[:most]


@dataclass(frozen=True)
class _Answered:
    """Every exemplar with what a head answers it without itself; labels as codes."""

    ids: Sequence[str]
    names: Sequence[str]
    own: LeftOut
    shares_NL: NDArray[np.float64]


def evaluate(snapshot: Snapshot, head: str, k: int, most: int) -> Evaluation:
    """Up to `most` confusions, suspects and duplicates. The snapshot must hold an exemplar.

    Raises:
        TooFewExemplarsError: head RIDGE, and a label has too few exemplars.
    """
    ids, labels, embeddings_ND = snapshot.live()
    names, codes_N = snapshot.coded(labels)
    own = LeftOut(embeddings_ND, codes_N, len(names))
    head = snapshot.calibration(head, k).head
    answered = _Answered(ids, names, own, own.shares(head, k))
    confusions = _confusions(answered)
    return Evaluation(
        snapshot.support_set,
        head,
        _accuracy(answered),
        _labels(answered, confusions),
        confusions[:most],
        _suspects(ids, names, own, most),
        _duplicates(ids, names, own, k, most),
    )


def _accuracy(answered: _Answered) -> Accuracy | None:
    own = answered.own
    is_right_N = answered.shares_NL.argmax(axis=1) == own.codes_N
    return accuracy(int(is_right_N[own.has_other_N].sum()), int(own.has_other_N.sum()))


def _labels(answered: _Answered, confusions: Sequence[Confusion]) -> list[LabelEvaluation]:
    """`confusions` are all, the most frequent first."""
    own = answered.own
    truth_M = own.codes_N[own.has_other_N]
    answers_M = answered.shares_NL[own.has_other_N].argmax(axis=1)
    asked_L, answered_L, right_L = (
        np.bincount(codes_M, minlength=own.label_count).tolist()
        for codes_M in (truth_M, answers_M, truth_M[truth_M == answers_M])
    )
    mistaken = {c.label: Mistaken(c.answer, c.exemplar_count) for c in reversed(confusions)}
    overall = sum(right_L) / sum(asked_L) if len(truth_M) else None
    found = []
    columns = answered.names, own.counts_L.tolist(), right_L, asked_L, answered_L
    for label, count, right, asked, told in zip(*columns, strict=True):
        recall, precision = accuracy(right, asked), accuracy(right, told)
        more = advice(count, recall, mistaken.get(label), overall)
        found.append(
            LabelEvaluation(label, count, recall, precision, more.exemplars_needed, more.words)
        )
    return found


def _confusions(answered: _Answered) -> list[Confusion]:
    """The most frequent first, ties by label."""
    codes_N, names = answered.own.codes_N, answered.names
    answers_N = answered.shares_NL.argmax(axis=1)
    rows = np.flatnonzero(answered.own.has_other_N & (answers_N != codes_N))
    surest = rows[np.argsort(-answered.shares_NL[rows, answers_N[rows]], kind="stable")]
    confused: dict[tuple[int, int], list[str]] = defaultdict(list)
    for row in surest.tolist():
        confused[int(codes_N[row]), int(answers_N[row])].append(answered.ids[row])
    ordered = sorted(confused.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        Confusion(names[code], names[answer], len(ids), ids[:CONFUSED])
        for (code, answer), ids in ordered
    ]


def _duplicates(
    ids: Sequence[str], names: Sequence[str], own: LeftOut, k: int, most: int
) -> list[Duplicate]:
    """None of more than MOST_COMPARED exemplars."""
    if len(ids) > MOST_COMPARED:
        return []
    pairs = near_duplicates(own.nearest(k), own.codes_N)
    columns = pairs.rows_P[:most], pairs.others_P[:most], pairs.similarities_P[:most]
    return [
        Duplicate(
            ids[row], names[own.codes_N[row]], ids[other], names[own.codes_N[other]], similarity
        )
        for row, other, similarity in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _suspects(ids: Sequence[str], names: Sequence[str], own: LeftOut, most: int) -> list[Suspect]:
    """Those that another label fits best, the least share of the own one first.

    Prototypes and ridge regression together find more wrong labels than prototypes alone: 95 and 91
    of 100 for 93 and 90, among 20 suspects of Fashion-MNIST and CIFAR-10's training images.
    """
    shares_NL = (own.shares(heads.PROTOTYPE) + own.shares(heads.RIDGE)) / 2
    best_N = shares_NL.argmax(axis=1)
    suspicion_N = 1 - shares_NL[np.arange(len(best_N)), own.codes_N]
    rows = np.flatnonzero(own.has_other_N & (best_N != own.codes_N))
    return [
        Suspect(
            ids[row],
            names[own.codes_N[row]],
            names[best_N[row]],
            float(suspicion_N[row]),
            _speakers(ids, names, own, row, best_N[row]),
        )
        for row in rows[np.argsort(-suspicion_N[rows], kind="stable")][:most]
    ]


def _speakers(
    ids: Sequence[str], names: Sequence[str], own: LeftOut, row: int, code: int
) -> list[Neighbor]:
    """The exemplars of the suggested label that are nearest."""
    rows_K = np.flatnonzero(own.codes_N == code)
    similarities_K = own.embeddings_ND[rows_K] @ own.embeddings_ND[row]
    order = np.argsort(-similarities_K, kind="stable")[:SPEAKERS]
    return [Neighbor(ids[rows_K[n]], names[code], float(similarities_K[n])) for n in order]
