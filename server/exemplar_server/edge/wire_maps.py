"""Protobuf to domain for maps: every check of their requests' fields."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from exemplar.v1 import map_pb2 as pb
from exemplar_server.core.map_placing import Placing
from exemplar_server.core.map_rows import MapItem
from exemplar_server.core.maps import MapOptions
from exemplar_server.edge import wire
from exemplar_server.edge.checks import (
    check_count,
    check_label,
    check_positive,
    check_range,
    content,
)
from exemplar_server.errors import ExemplarError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from exemplar_server.core.limits import Limits
    from exemplar_server.core.map_placing import Place

MAX_ITERATIONS = 2000
MAX_ITEM_ID = 128


def map_options(request: pb.ComputeMapRequest | pb.MapItemsOptions) -> MapOptions:
    default = MapOptions()
    perplexity = request.perplexity if request.HasField("perplexity") else default.perplexity
    check_positive("perplexity", perplexity, math.inf)
    iterations = request.iterations if request.HasField("iterations") else default.iterations
    check_range("iterations", iterations, 1, MAX_ITERATIONS)
    return MapOptions(perplexity, request.seed, iterations)


async def items_options(
    requests: AsyncIterator[pb.ComputeMapOfItemsRequest],
) -> pb.MapItemsOptions:
    """What the first request of a stream says."""
    first = await anext(requests, pb.ComputeMapOfItemsRequest())
    if not first.HasField("options"):
        raise InvalidInputError(
            f"options: expected in the first request, got {first.WhichOneof('part') or 'none'}"
        )
    return first.options


async def items(
    requests: AsyncIterator[pb.ComputeMapOfItemsRequest], limits: Limits
) -> AsyncIterator[list[MapItem]]:
    """The items of each other request. One that is wrong ends them: there is no map without it."""
    first = 0
    async for request in requests:
        if not request.HasField("items"):
            raise InvalidInputError(
                "items: expected in every request but the first, "
                f"got {request.WhichOneof('part') or 'none'}"
            )
        sent = request.items.items
        if images := [item for item in sent if item.HasField("image")]:
            check_count("images of one request", images, limits.images_per_request)
        yield [_item(f"items[{first + n}]", item, limits) for n, item in enumerate(sent)]
        first += len(sent)


def placing(request: pb.PlaceOnMapRequest, limits: Limits) -> Placing:
    check_count("queries", request.queries, limits.images_per_request)
    check_count("points", request.points, limits.map_points)
    if request.perplexity:  # 0: the points were laid on a line
        check_positive("perplexity", request.perplexity, math.inf)
    queries = [content(f"queries[{n}]", query) for n, query in enumerate(request.queries)]
    return Placing(_places(request.points), queries, request.perplexity)


def _places(points: Sequence[pb.PlacedExemplar]) -> Mapping[str, Place]:
    places: dict[str, Place] = {}
    for number, point in enumerate(points):
        path = f"points[{number}]"
        wire.name(f"{path}.exemplar_id", point.exemplar_id)
        if point.exemplar_id in places:
            raise InvalidInputError(
                f"{path}.exemplar_id: expected each once, got {point.exemplar_id!r} again"
            )
        if not (math.isfinite(point.x) and math.isfinite(point.y)):
            raise InvalidInputError(f"{path}: expected finite x and y, got {point.x}, {point.y}")
        places[point.exemplar_id] = point.x, point.y
    return places


def _item(path: str, item: pb.MapItem, limits: Limits) -> MapItem:
    if len(item.id) > MAX_ITEM_ID:
        raise InvalidInputError(
            f"{path}.id: expected up to {MAX_ITEM_ID} characters, got {len(item.id)}"
        )
    if item.label:
        check_label(path, item.label, limits)
    sent = content(path, item)
    if isinstance(sent, ExemplarError):
        raise sent
    return MapItem(item.id, item.label, sent)
