"""Queries to answers: one snapshot, one head, and what its own exemplars tell of them.

Shapes: Q queries, L labels, K neighbors, D dim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core import calibration, heads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from exemplar_server.core.calibration import Calibration
    from exemplar_server.core.heads import LabelScore
    from exemplar_server.core.snapshot import Neighbor, Snapshot

MOST_SCORES = 100  # a prototype of each of 100,000 labels would not fit into a message


@dataclass(frozen=True)
class ClassifyOptions:
    """k 1 and more, temperature above 0: edge/wire.py checked them.

    `false_accept_rate` in [0, 1] and `coverage` in (0, 1), None where not asked for.
    """

    k: int = heads.DEFAULT_K
    head: str = heads.DEFAULT_HEAD
    temperature: float = heads.DEFAULT_TEMPERATURE
    include_neighbors: bool = False
    false_accept_rate: float | None = None
    coverage: float | None = None


@dataclass(frozen=True)
class Answer:
    """What one query is: its best label scores, best first, and the neighbors if asked for.

    `similarity` is that of the nearest exemplar (knn) or of the best prototype (other heads).
    """

    scores: list[LabelScore]
    neighbors: list[Neighbor]
    similarity: float
    familiarity: float
    margin: float
    is_unknown: bool
    label_set: list[str]


@dataclass(frozen=True)
class Answers:
    """One answer a query, in order. `threshold`: None where none applies."""

    answers: list[Answer]
    calibration: Calibration
    threshold: float | None


def classify(
    snapshot: Snapshot, queries_QD: NDArray[np.float32], options: ClassifyOptions
) -> Answers:
    """The snapshot must hold at least one exemplar.

    Raises:
        TooFewExemplarsError: for head RIDGE, or for the coverage.
    """
    known = snapshot.calibration(options.head, options.k)
    head = known.head
    bound = None if options.coverage is None else known.label_set_bound(options.coverage)
    threshold = None
    if options.false_accept_rate is not None and known.unfamiliar is not None:
        threshold = known.unfamiliar.threshold(options.false_accept_rate)
    names, prototypes_LD = snapshot.prototypes
    similarities_QL = queries_QD @ prototypes_LD.T
    familiarity_Q = calibration.familiarity(similarities_QL, snapshot.prototype_products)
    neighbors = _neighbors(snapshot, queries_QD, head, options)
    is_knn = head == heads.KNN
    shares_QL = (
        _votes(snapshot, neighbors, options.temperature)
        if is_knn
        else _shares(snapshot, queries_QD, similarities_QL, head, options.temperature)
    )
    probabilities_QL = known.probabilities(shares_QL)
    answers = []
    for query, shares_L in enumerate(shares_QL):
        probabilities_L = None if probabilities_QL is None else probabilities_QL[query]
        scores = heads.ranked(names, shares_L, probabilities_L)
        near = neighbors[query]
        answers.append(
            Answer(
                scores[:MOST_SCORES],
                near if options.include_neighbors else [],
                near[0].similarity if is_knn else float(similarities_QL[query].max()),
                float(familiarity_Q[query]),
                _margin(scores),
                threshold is not None and bool(familiarity_Q[query] < threshold),
                [] if bound is None else _label_set(scores, bound),
            )
        )
    return Answers(answers, known, threshold)


def _neighbors(
    snapshot: Snapshot, queries_QD: NDArray[np.float32], head: str, options: ClassifyOptions
) -> list[list[Neighbor]]:
    if options.include_neighbors or head == heads.KNN:
        return snapshot.search(queries_QD, options.k)
    return [[] for _ in queries_QD]


def _shares(
    snapshot: Snapshot,
    queries_QD: NDArray[np.float32],
    similarities_QL: NDArray[np.float32],
    head: str,
    temperature: float,
) -> NDArray[np.float64]:
    """Each label's share of a head that sees all exemplars; rows sum to 1."""
    outputs_QL = similarities_QL if head == heads.PROTOTYPE else snapshot.ridge.outputs(queries_QD)
    return heads.softmax(outputs_QL, temperature)


def _votes(
    snapshot: Snapshot, neighbors: Sequence[Sequence[Neighbor]], temperature: float
) -> NDArray[np.float64]:
    """Each label's share of the neighbors' votes; rows sum to 1."""
    code_of = snapshot.code_of
    return np.stack(
        [
            heads.votes(
                [code_of[n.label] for n in near],
                np.array([n.similarity for n in near], np.float32),
                len(code_of),
                temperature,
            )
            for near in neighbors
        ]
    )


def _margin(scores: Sequence[LabelScore]) -> float:
    first, second = ([*scores[:2], heads.LabelScore("", 0.0, 0.0)])[:2]
    if first.probability is None or second.probability is None:
        return first.score - second.score
    return first.probability - second.probability


def _label_set(scores: Sequence[LabelScore], bound: float) -> list[str]:
    """Rounding must not leave out what lies on the bound."""
    likely = [s.label for s in scores if s.probability and 1 - s.probability <= bound + 1e-9]
    return likely or [scores[0].label]
