"""Tells how good a support set is: every exemplar answered by the others.

Shapes: N exemplars, B exemplars of one block, L labels, K neighbors, D dim. Embeddings are float32
of unit length, exemplars are ordered by id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core import heads, leave_one_out
from exemplar_server.core.snapshot import Neighbor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from exemplar_server.core.snapshot import Snapshot

SPEAKERS = 3


@dataclass(frozen=True)
class Suspect:
    """An exemplar that its label's prototype fits less than another's; `suspicion` in [0, 1]."""

    exemplar_id: str
    label: str
    suggested_label: str
    suspicion: float
    neighbors: list[Neighbor]


@dataclass(frozen=True)
class Evaluation:
    """What the others answer each exemplar: codes of `names`, -1 where no other has its label.

    Suspects come the likeliest first.
    """

    head: str
    names: tuple[str, ...]
    codes_N: NDArray[np.int64]
    answers_N: NDArray[np.int64]
    suspects: list[Suspect]


def evaluate(snapshot: Snapshot, head: str, k: int, most: int) -> Evaluation:
    """The snapshot must hold at least one exemplar.

    Raises:
        TooFewExemplarsError: head RIDGE, and a label has too few exemplars.
    """
    ids, labels, embeddings_ND = snapshot.live()
    names, codes_N = snapshot.coded(labels)
    head = snapshot.head(head, k)
    similarities_NL = leave_one_out.prototype_similarities(embeddings_ND, codes_N, len(names))
    best_N = similarities_NL.argmax(axis=1)
    shares_NL = leave_one_out.shares(embeddings_ND, codes_N, len(names), head, k)
    answers_N = shares_NL.argmax(axis=1)
    has_other_N = np.bincount(codes_N)[codes_N] > 1
    answers_N = np.where(has_other_N, answers_N, -1)
    suspicion_N = np.where(
        has_other_N & (best_N != codes_N), suspicions(similarities_NL, codes_N), 0
    )
    rows = [row for row in np.argsort(-suspicion_N, kind="stable")[:most] if suspicion_N[row]]
    found = [
        Suspect(
            ids[row],
            labels[row],
            names[best_N[row]],
            float(suspicion_N[row]),
            _speakers(ids, labels, embeddings_ND, row, codes_N == best_N[row]),
        )
        for row in rows
    ]
    return Evaluation(head, names, codes_N, answers_N, found)


def suspicions(
    similarities_NL: NDArray[np.float64], codes_N: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The best other label's share beside the own one's, in [0, 1]; 0 where there is no other."""
    rows = np.arange(len(codes_N))
    others_NL = similarities_NL.copy()
    others_NL[rows, codes_N] = -np.inf
    margins_N = others_NL.max(axis=1) - similarities_NL[rows, codes_N]
    result_N: NDArray[np.float64] = 1 / (1 + np.exp(-margins_N / heads.DEFAULT_TEMPERATURE))
    return result_N


def wilson(right: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share: Wilson 1927, "Probable Inference", for count 1 and more."""
    z2 = 1.959964**2
    middle = (right + z2 / 2) / (count + z2)
    half = (z2 * right * (count - right) / count + z2**2 / 4) ** 0.5 / (count + z2)
    return max(0.0, middle - half), min(1.0, middle + half)


def _speakers(
    ids: Sequence[str],
    labels: Sequence[str],
    embeddings_ND: NDArray[np.float32],
    row: int,
    speaks_N: NDArray[np.bool_],
) -> list[Neighbor]:
    rows_K = np.flatnonzero(speaks_N)
    similarities_K = embeddings_ND[rows_K] @ embeddings_ND[row]
    order = np.argsort(-similarities_K, kind="stable")[:SPEAKERS]
    return [Neighbor(ids[rows_K[n]], labels[rows_K[n]], float(similarities_K[n])) for n in order]
