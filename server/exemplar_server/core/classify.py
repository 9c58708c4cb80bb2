"""Queries to answers: one snapshot, one head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core import heads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from exemplar_server.core.heads import LabelScore
    from exemplar_server.core.snapshot import Neighbor, Snapshot


@dataclass(frozen=True)
class ClassifyOptions:
    """k 1 and more, temperature above 0: edge/wire.py checked them."""

    k: int = heads.DEFAULT_K
    head: str = heads.DEFAULT_HEAD
    temperature: float = heads.DEFAULT_TEMPERATURE
    include_neighbors: bool = False


@dataclass(frozen=True)
class Answer:
    """What one query is: its label scores, best first, and the neighbors if asked for.

    `similarity` is that of the nearest exemplar (knn) or of the best prototype (prototype).
    """

    scores: list[LabelScore]
    neighbors: list[Neighbor]
    similarity: float


def classify(
    snapshot: Snapshot, queries_QD: NDArray[np.float32], options: ClassifyOptions
) -> list[Answer]:
    """One answer a query, in order. The snapshot must hold at least one exemplar."""
    answer = _by_prototypes if options.head == heads.PROTOTYPE else _by_neighbors
    return answer(snapshot, queries_QD, options)


def _by_neighbors(
    snapshot: Snapshot, queries_QD: NDArray[np.float32], options: ClassifyOptions
) -> list[Answer]:
    return [_vote(neighbors, options) for neighbors in snapshot.search(queries_QD, options.k)]


def _vote(neighbors: list[Neighbor], options: ClassifyOptions) -> Answer:
    similarities_K = np.array([n.similarity for n in neighbors], dtype=np.float32)
    scores = heads.knn_scores([n.label for n in neighbors], similarities_K, options.temperature)
    shown = neighbors if options.include_neighbors else []
    return Answer(scores, shown, neighbors[0].similarity)


def _by_prototypes(
    snapshot: Snapshot, queries_QD: NDArray[np.float32], options: ClassifyOptions
) -> list[Answer]:
    labels, prototypes_LD = snapshot.prototypes
    similarities_QL = queries_QD @ prototypes_LD.T
    none: list[Neighbor] = []
    shown = (
        snapshot.search(queries_QD, options.k)
        if options.include_neighbors
        else [none] * len(queries_QD)
    )
    return [
        Answer(
            heads.prototype_scores(labels, similarities_L, options.temperature),
            neighbors,
            float(similarities_L.max()),
        )
        for similarities_L, neighbors in zip(similarities_QL, shown, strict=True)
    ]
