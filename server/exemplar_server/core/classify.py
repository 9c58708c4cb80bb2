"""Queries to answers: one snapshot, one head, and what its own exemplars tell of them.

Shapes: Q queries, L labels, K neighbors, D dim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core import heads
from exemplar_server.core.base_prototypes import NO_BASE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from exemplar_server.core.base_prototypes import BasePrototypes
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
    exact: bool = False


@dataclass(frozen=True)
class Answer:
    """What one query is: its best label scores, best first, and the neighbors if asked for.

    `similarity` is that of the nearest exemplar (knn) or of the best prototype (other heads).
    `familiarity` is None without a false-accept rate.
    """

    scores: list[LabelScore]
    neighbors: list[Neighbor]
    similarity: float
    familiarity: float | None
    margin: float
    is_unknown: bool
    label_set: list[str]


@dataclass(frozen=True)
class Answers:
    """One answer a query, in order. `verdicts`: None where no false-accept rate was asked for."""

    answers: list[Answer]
    calibration: Calibration
    verdicts: Verdicts | None
    is_approximate: bool = False


@dataclass(frozen=True)
class Verdicts:
    """Less familiar queries than `threshold` are unknown; None where there is one label only."""

    familiarity_Q: NDArray[np.float64]
    threshold: float | None
    true_accept_rate: float | None


def classify(
    snapshot: Snapshot,
    queries_QD: NDArray[np.float32],
    options: ClassifyOptions,
    base: BasePrototypes = NO_BASE,
) -> Answers:
    """The snapshot must hold at least one exemplar; `base` is that of its backbone.

    Raises:
        TooFewExemplarsError: for head RIDGE, or for the coverage.
    """
    known = snapshot.calibration(options.head, options.k)
    bound = None if options.coverage is None else known.label_set_bound(options.coverage)
    verdicts = _verdicts(snapshot, queries_QD, options, base)
    neighbors, is_approximate = _neighbors(snapshot, queries_QD, known.head, options)
    shares_QL, similarity_Q = _shares(snapshot, queries_QD, neighbors, known.head, options)
    ranked = _ranked(snapshot, shares_QL, known)
    answers = [
        Answer(
            scores[:MOST_SCORES],
            neighbors[query] if options.include_neighbors else [],
            float(similarity_Q[query]),
            None if verdicts is None else float(verdicts.familiarity_Q[query]),
            _margin(scores),
            _is_unknown(verdicts, query),
            [] if bound is None else _label_set(scores, bound),
        )
        for query, scores in enumerate(ranked)
    ]
    return Answers(answers, known, verdicts, is_approximate)


def _verdicts(
    snapshot: Snapshot,
    queries_QD: NDArray[np.float32],
    options: ClassifyOptions,
    base: BasePrototypes,
) -> Verdicts | None:
    if options.false_accept_rate is None:
        return None
    open_set = snapshot.open_set(base)
    familiarity_Q = open_set.known.of(queries_QD)
    if open_set.strange is None:
        return Verdicts(familiarity_Q, None, None)
    threshold = open_set.strange.threshold(options.false_accept_rate)
    return Verdicts(familiarity_Q, threshold, open_set.strange.true_accept_rate(threshold))


def _is_unknown(verdicts: Verdicts | None, query: int) -> bool:
    if verdicts is None or verdicts.threshold is None:
        return False
    return bool(verdicts.familiarity_Q[query] < verdicts.threshold)


def _neighbors(
    snapshot: Snapshot, queries_QD: NDArray[np.float32], head: str, options: ClassifyOptions
) -> tuple[list[list[Neighbor]], bool]:
    """Each query's, and whether they were found approximately."""
    if not options.include_neighbors and head != heads.KNN:
        return [[] for _ in queries_QD], False
    if options.exact:
        return snapshot.search(queries_QD, options.k), False
    return snapshot.approximate_search(queries_QD, options.k)


def _shares(
    snapshot: Snapshot,
    queries_QD: NDArray[np.float32],
    neighbors: Sequence[Sequence[Neighbor]],
    head: str,
    options: ClassifyOptions,
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Each label's share, rows sum to 1, and how similar the best neighbor or prototype is."""
    if head == heads.KNN:
        nearest_Q = np.array([near[0].similarity for near in neighbors], np.float32)
        return _votes(snapshot, neighbors, options.temperature), nearest_Q
    similarities_QL = queries_QD @ snapshot.prototypes[1].T
    outputs_QL = similarities_QL if head == heads.PROTOTYPE else snapshot.ridge.outputs(queries_QD)
    return heads.softmax(outputs_QL, options.temperature), similarities_QL.max(axis=1)


def _ranked(
    snapshot: Snapshot, shares_QL: NDArray[np.float64], known: Calibration
) -> list[list[LabelScore]]:
    probabilities_QL = known.probabilities(shares_QL)
    names = tuple(snapshot.code_of)
    return [
        heads.ranked(names, shares_L, None if probabilities_QL is None else probabilities_QL[query])
        for query, shares_L in enumerate(shares_QL)
    ]


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
