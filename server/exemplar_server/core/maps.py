"""Maps: a support set's exemplars laid out in the plane by t-SNE, outside this process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.errors import LimitExceededError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from numpy.typing import NDArray

    from exemplar_server.core.exemplars import SupportSet
    from exemplar_server.core.ports import MapMaker
    from exemplar_server.core.snapshot import Snapshot
    from exemplar_server.core.thumbnails import Thumbnails

QUEUED = "QUEUED"
EARLY_EXAGGERATION = "EARLY_EXAGGERATION"
OPTIMIZATION = "OPTIMIZATION"
DELIVERY = "DELIVERY"

# Fewer points have no neighborhoods to keep: perplexity would fall to 1 and below.
FEWEST_POINTS = 4
# Points a message: with thumbnails of about 2 KB well under the message limit.
POINTS_A_CHUNK = 256


@dataclass(frozen=True)
class MapOptions:
    """perplexity above 0, as asked; seed below 2**32; iterations after early exaggeration."""

    perplexity: float = 30.0
    seed: int = 0
    iterations: int = 500


@dataclass(frozen=True)
class MapFrame:
    """A moment of the work; `points_N2` and the perplexity used come with the last one."""

    phase: str
    iteration: int
    total_iterations: int
    kl_divergence: float
    points_N2: NDArray[np.float32] | None = None
    perplexity: float = 0.0


@dataclass(frozen=True)
class MapPoint:
    """One exemplar on the map; its thumbnail is empty where none is asked for or kept."""

    exemplar_id: str
    label: str
    x: float
    y: float
    thumbnail: bytes


@dataclass(frozen=True)
class MapSummary:
    """The end of a map. A perplexity of 0: too few different points, laid on a line."""

    support_set: SupportSet
    perplexity: float
    kl_divergence: float


MapEvent = MapFrame | list[MapPoint] | MapSummary


def effective_perplexity(asked: float, points: int) -> float:
    """1 to (points - 1) / 3: 3 x perplexity neighbors count (van der Maaten 2014, 4.1)."""
    return max(1.0, min(asked, (points - 1) / 3))


class Maps:
    """Draws maps of snapshots. One event loop only."""

    def __init__(
        self,
        maker: MapMaker,
        thumbnails: Thumbnails,
        most_points: int,
    ) -> None:
        self._maker = maker
        self._thumbnails = thumbnails
        self._most_points = most_points

    async def draw(
        self, snapshot: Snapshot, options: MapOptions, *, with_thumbnails: bool
    ) -> AsyncIterator[MapEvent]:
        """Progress, then every exemplar's point in chunks, then the summary.

        Raises:
            LimitExceededError: the support set has more exemplars than a map may have points.
        """
        count = snapshot.support_set.exemplar_count
        if count > self._most_points:
            raise LimitExceededError(
                f"support_set: expected up to {self._most_points} exemplars to map, got {count}"
            )
        ids, labels, embeddings_ND = await asyncio.to_thread(snapshot.live)
        frame = _line(len(ids))
        if not _is_too_plain(embeddings_ND):
            async for frame in self._maker.compute(embeddings_ND, options):
                yield frame
        yield replace(frame, phase=DELIVERY)
        for start in range(0, len(ids), POINTS_A_CHUNK):
            chunk = slice(start, start + POINTS_A_CHUNK)
            thumbnails = await self._thumbnails.of(
                snapshot.support_set.incarnation, ids[chunk] if with_thumbnails else []
            )
            yield _placed(ids[chunk], labels[chunk], frame, start, thumbnails)
        yield MapSummary(snapshot.support_set, frame.perplexity, frame.kl_divergence)


def _is_too_plain(embeddings_ND: NDArray[np.float32]) -> bool:
    """Whether t-SNE has nothing to work on: hardly any points, or all in one place."""
    is_one_place = bool(np.ptp(embeddings_ND, axis=0).max(initial=0.0) < 1e-6)  # noqa: PLR2004
    return len(embeddings_ND) < FEWEST_POINTS or is_one_place


def _line(count: int) -> MapFrame:
    points_N2 = np.stack([np.arange(count), np.zeros(count)], axis=1).astype(np.float32)
    return MapFrame(DELIVERY, 0, 0, 0.0, points_N2)


def _placed(
    ids: Sequence[str],
    labels: Sequence[str],
    frame: MapFrame,
    start: int,
    thumbnails: dict[str, bytes],
) -> list[MapPoint]:
    assert frame.points_N2 is not None  # noqa: S101 - the last frame has them
    places = frame.points_N2[start : start + len(ids)].tolist()
    return [
        MapPoint(exemplar_id, label, x, y, thumbnails.get(exemplar_id, b""))
        for exemplar_id, label, (x, y) in zip(ids, labels, places, strict=True)
    ]
