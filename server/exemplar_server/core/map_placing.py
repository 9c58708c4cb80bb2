"""Queries on a map that was drawn before: its points stay where they are.

Shapes: N exemplars on the map, Q queries, D dim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from exemplar_server.core.contents import Content
    from exemplar_server.core.embedder import Timings
    from exemplar_server.core.snapshot import Snapshot
    from exemplar_server.errors import ExemplarError

Place = tuple[float, float]


@dataclass(frozen=True)
class Placing:
    """Where a map's exemplars lie, by id, and what to place among them.

    perplexity as the map's summary told it: 0 and more.
    """

    places: Mapping[str, Place]
    queries: Sequence[Content]
    perplexity: float


@dataclass(frozen=True)
class Placed:
    """One place or error a query, in order."""

    places: list[Place | ExemplarError]
    revision: int
    timings: Timings


def references(
    snapshot: Snapshot, places: Mapping[str, Place]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embeddings (N, D) and places (N, 2) of the map's exemplars that still exist, by id.

    Raises:
        InvalidInputError: there is none.
    """
    ids, _, embeddings_ND = snapshot.live()
    rows = [row for row, exemplar_id in enumerate(ids) if exemplar_id in places]
    if not rows:
        raise InvalidInputError(
            f"points: expected exemplars of support set {snapshot.support_set.name!r}, "
            f"got {len(places)} ids that are none of its"
        )
    points_N2 = np.array([places[ids[row]] for row in rows], np.float32)
    return embeddings_ND[rows], points_N2


def nearest_places(
    embeddings_ND: NDArray[np.float32],
    points_N2: NDArray[np.float32],
    queries_QD: NDArray[np.float32],
) -> NDArray[np.float32]:
    """The place of each query's nearest exemplar, (Q, 2)."""
    places_Q2: NDArray[np.float32] = points_N2[np.argmax(queries_QD @ embeddings_ND.T, axis=1)]
    return places_Q2
