"""Maps: exemplars or items laid out in the plane by t-SNE, outside this process."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core import map_placing, map_rows
from exemplar_server.core.contents import embed_contents, in_order, present
from exemplar_server.core.map_placing import Placed
from exemplar_server.core.turns import Turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from numpy.typing import NDArray

    from exemplar_server.core.embedder import Embedder
    from exemplar_server.core.map_placing import Placing
    from exemplar_server.core.map_rows import MapItem, MapRows
    from exemplar_server.core.ports import MapMaker
    from exemplar_server.core.snapshot import Snapshot
    from exemplar_server.core.support_sets import Call
    from exemplar_server.core.thumbnails import Thumbnails

QUEUED = "QUEUED"
EARLY_EXAGGERATION = "EARLY_EXAGGERATION"
OPTIMIZATION = "OPTIMIZATION"
DELIVERY = "DELIVERY"

# Fewer points have no neighborhoods to keep: perplexity would fall to 1 and below.
FEWEST_POINTS = 4
# Points a message: with thumbnails of about 2 KB well under the message limit.
POINTS_A_CHUNK = 256
UNDER_WAY = (
    "maps: expected one at a time, and one of tenant {tenant} is under way: "
    "wait for its end or cancel it"
)


@dataclass(frozen=True)
class MapOptions:
    """perplexity above 0, as asked; seed below 2**32; iterations after early exaggeration."""

    perplexity: float = 30.0
    seed: int = 0
    iterations: int = 500


@dataclass(frozen=True)
class MapFrame:
    """A moment of the work. The divergence is 0 before the first iterations."""

    phase: str
    iteration: int
    total_iterations: int
    kl_divergence: float


@dataclass(frozen=True)
class MapQuality:
    """How far the map can be trusted, all in [0, 1]; no agreement where nothing is labelled."""

    trustworthiness: float
    label_agreement: float | None
    embedding_label_agreement: float | None


@dataclass(frozen=True)
class Layout:
    """The points, and how they came about. No quality and perplexity 0: laid on a line."""

    points_N2: NDArray[np.float32]
    perplexity: float = 0.0
    kl_divergence: float = 0.0
    quality: MapQuality | None = None


@dataclass(frozen=True)
class MapPoint:
    """One exemplar or item on the map; its thumbnail is empty where none is asked for or kept."""

    exemplar_id: str
    label: str
    x: float
    y: float
    thumbnail: bytes


@dataclass(frozen=True)
class MapSummary:
    """The end of a map. The revision of a map of items is 0."""

    revision: int
    fingerprint: str
    layout: Layout


MapEvent = MapFrame | list[MapPoint] | MapSummary


def effective_perplexity(asked: float, points: int) -> float:
    """1 to (points - 1) / 3: 3 x perplexity neighbors count (van der Maaten 2014, 4.1)."""
    return max(1.0, min(asked, (points - 1) / 3))


def is_too_plain(embeddings_ND: NDArray[np.float32]) -> bool:
    """Whether t-SNE has nothing to work on: hardly any points, one axis, or all in one place."""
    is_one_place = bool(np.ptp(embeddings_ND, axis=0).max(initial=0.0) < 1e-6)  # noqa: PLR2004
    count, dim = embeddings_ND.shape
    return count < FEWEST_POINTS or dim == 1 or is_one_place


class Maps:
    """Draws maps, one a tenant at a time. One event loop only.

    Every map is progress, then all points in chunks, then the summary. Drawing raises
    LimitExceededError where there are more points than a map may have, and OverloadedError where
    the tenant has another job under way.
    """

    def __init__(self, maker: MapMaker, thumbnails: Thumbnails, most_points: int) -> None:
        self._maker = maker
        self._turns = Turns(UNDER_WAY)
        self._thumbnails = thumbnails
        self._most_points = most_points

    def of_exemplars(
        self, tenant: str, snapshot: Snapshot, options: MapOptions, *, with_thumbnails: bool
    ) -> AsyncIterator[MapEvent]:
        thumbnails = self._thumbnails if with_thumbnails else None
        read = partial(map_rows.of_exemplars, snapshot, thumbnails, self._most_points)
        return self._draw(tenant, read, options)

    def of_items(
        self,
        call: Call,
        embedder: Embedder,
        parts: AsyncIterator[Sequence[MapItem]],
        options: MapOptions,
    ) -> AsyncIterator[MapEvent]:
        """Reads on only as fast as images are embedded. An item that cannot be used ends it."""
        read = partial(
            map_rows.of_items, call, embedder, parts, self._thumbnails, self._most_points
        )
        return self._draw(call.tenant, read, options)

    async def place(
        self, call: Call, snapshot: Snapshot, embedder: Embedder, placing: Placing
    ) -> Placed:
        """A place for every query; one that cannot be embedded gets its error.

        Each depends on its own query only. Where t-SNE had nothing to work on, now or when the map
        was drawn, it is the nearest exemplar's.

        Raises:
            InvalidInputError: no exemplar of the map is left.
            OverloadedError: the tenant has another job under way.
        """
        with self._turns.take(call.tenant):
            found = await asyncio.to_thread(map_placing.references, snapshot, placing.places)
            embedded = await embed_contents(
                embedder, call.tenant, placing.queries, call.deadline, "queries"
            )
            places_Q2 = await self._places(*found, present(embedded), placing.perplexity)
        places = in_order(embedded, ((x, y) for x, y in places_Q2.tolist()))
        return Placed(places, snapshot.support_set.revision, embedded.timings)

    async def _places(
        self,
        embeddings_ND: NDArray[np.float32],
        points_N2: NDArray[np.float32],
        queries: Sequence[NDArray[np.float32]],
        perplexity: float,
    ) -> NDArray[np.float32]:
        if not queries:
            return np.zeros((0, 2), np.float32)
        arrays = embeddings_ND, points_N2, np.stack(queries)
        if not perplexity or await asyncio.to_thread(is_too_plain, embeddings_ND):
            return await asyncio.to_thread(map_placing.nearest_places, *arrays)
        return await self._maker.place(*arrays, perplexity)

    async def _draw(
        self, tenant: str, read: Callable[[], Awaitable[MapRows]], options: MapOptions
    ) -> AsyncIterator[MapEvent]:
        with self._turns.take(tenant):
            rows = await read()
            frame, layout = MapFrame(DELIVERY, 0, 0, 0.0), _line(len(rows.ids))
            if not await asyncio.to_thread(is_too_plain, rows.embeddings_ND):
                codes_N = _codes(rows.labels)
                making = self._maker.compute(rows.embeddings_ND, codes_N, options)
                async with aclosing(making) as made:
                    async for one in made:
                        if isinstance(one, MapFrame):
                            yield (frame := one)
                        else:
                            layout = one
            yield replace(frame, phase=DELIVERY)
            for start in range(0, len(rows.ids), POINTS_A_CHUNK):
                chunk = slice(start, start + POINTS_A_CHUNK)
                yield _placed(rows, layout, chunk, await rows.thumbnails(chunk))
            yield MapSummary(rows.revision, rows.fingerprint, layout)


def _line(count: int) -> Layout:
    return Layout(np.stack([np.arange(count), np.zeros(count)], axis=1).astype(np.float32))


def _codes(labels: Sequence[str]) -> NDArray[np.int32]:
    """A number a label, in order of the labels; -1 for none."""
    code_of = {label: code for code, label in enumerate(sorted(set(labels) - {""}))}
    return np.array([code_of.get(label, -1) for label in labels], np.int32)


def _placed(
    rows: MapRows, layout: Layout, chunk: slice, thumbnails: Sequence[bytes]
) -> list[MapPoint]:
    places = layout.points_N2[chunk].tolist()
    return [
        MapPoint(exemplar_id, label, x, y, thumbnail)
        for exemplar_id, label, (x, y), thumbnail in zip(
            rows.ids[chunk], rows.labels[chunk], places, thumbnails, strict=True
        )
    ]
