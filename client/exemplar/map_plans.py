"""Plans that draw maps and place queries on them. A plan is explained in calls.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from exemplar.answers import Limits
from exemplar.calls import (
    COMPUTE_MAP,
    COMPUTE_MAP_OF_ITEMS,
    PLACE_ON_MAP,
    Plan,
    StreamingCall,
    UploadingCall,
    send,
    work,
)
from exemplar.cutting import Cutter, contents, cut, cutter_for, merge
from exemplar.embedding import ItemError
from exemplar.errors import ExemplarError, InvalidArgumentError
from exemplar.images import Drawable, Image, map_items, queries
from exemplar.inference_plans import renumbered
from exemplar.map_result import (
    MapCollector,
    MapPosition,
    MapProgress,
    MapResult,
    failed_position,
    position_from_pb,
)
from exemplar.memory import Memory, known_limits, learning
from exemplar.v1 import classification_pb2, map_pb2

OnProgress = Callable[[MapProgress], object] | None


def compute_map(
    memory: Memory,
    request: map_pb2.ComputeMapRequest,
    on_progress: OnProgress,
    timeout_seconds: float,
) -> Plan[MapResult]:
    collector = MapCollector(request.support_set, on_progress or _ignore)
    yield from learning(memory, _collect(request, collector, timeout_seconds))
    result = collector.result()
    memory.saw(request.support_set, result.revision)
    return result


def _collect(
    request: map_pb2.ComputeMapRequest, collector: MapCollector, timeout_seconds: float
) -> Plan[None]:
    yield StreamingCall(COMPUTE_MAP, request, collector.take, timeout_seconds)


def compute_map_of(
    memory: Memory,
    items: Iterable[Drawable],
    options: map_pb2.MapItemsOptions,
    on_progress: OnProgress,
    timeout_seconds: float,
) -> Plan[MapResult]:
    limits = yield from known_limits(memory)
    collector = MapCollector("", on_progress or _ignore)
    upload = _Upload(options, items, limits)
    try:
        yield UploadingCall(
            COMPUTE_MAP_OF_ITEMS, upload.requests(), collector.take, timeout_seconds
        )
    except ExemplarError as error:
        if upload.failure:
            raise upload.failure from error
        raise
    return collector.result()


class _Upload:
    """The requests of one map of items.

    `failure` is what reading the items raised: grpc, which advances the iterator, would log and
    hide it.
    """

    def __init__(
        self, options: map_pb2.MapItemsOptions, items: Iterable[Drawable], limits: Limits
    ) -> None:
        self._options = options
        self._items = items
        self._limits = limits
        self.failure: Exception | None = None

    def requests(self) -> Iterator[map_pb2.ComputeMapOfItemsRequest]:
        yield map_pb2.ComputeMapOfItemsRequest(options=self._options)
        cutter: Cutter[map_pb2.MapItem] = cutter_for(self._limits, map_pb2.MapItem.ByteSize)
        try:
            for part in cut(map_items(self._items, self._limits), cutter):
                yield map_pb2.ComputeMapOfItemsRequest(items=map_pb2.MapItems(items=_usable(part)))
        except Exception as failure:  # noqa: BLE001  (the caller's iterable: raised to the caller)
            self.failure = failure
            # The server refuses it: the items so far shall not become a map.
            yield map_pb2.ComputeMapOfItemsRequest()


def _usable(slots: list[map_pb2.MapItem | ItemError]) -> list[map_pb2.MapItem]:
    for slot in slots:
        if isinstance(slot, ItemError):
            raise InvalidArgumentError(slot.message, reason=slot.reason)
    return contents(slots)


def place_on_map(
    memory: Memory,
    result: MapResult,
    images: Iterable[Image],
    min_revision: int | None,
    timeout_seconds: float,
) -> Plan[list[MapPosition]]:
    """One request after the other: a server works on one of a tenant at a time."""
    limits = yield from known_limits(memory)
    base = map_pb2.PlaceOnMapRequest(
        support_set=result.support_set,
        points=[
            map_pb2.PlacedExemplar(exemplar_id=p.exemplar_id, x=p.x, y=p.y) for p in result.points
        ],
        perplexity=result.perplexity,
        min_revision=memory.wanted_revision(result.support_set, min_revision),
    )
    cutter: Cutter[classification_pb2.Query] = cutter_for(
        limits, classification_pb2.Query.ByteSize, reserved_bytes=base.ByteSize()
    )
    parts = cut(queries(images, limits), cutter)
    positions: list[MapPosition] = []
    while slots := (yield from work(partial(next, parts, None))):
        placed = yield from learning(memory, _placed(base, contents(slots), timeout_seconds))
        positions.extend(merge(slots, placed, failed_position))
    return [renumbered(position, number) for number, position in enumerate(positions)]


def _placed(
    base: map_pb2.PlaceOnMapRequest, items: list[classification_pb2.Query], timeout_seconds: float
) -> Plan[list[MapPosition]]:
    if not items:
        return []
    request = map_pb2.PlaceOnMapRequest(queries=items)
    request.MergeFrom(base)
    response = yield from send(PLACE_ON_MAP, request, timeout_seconds=timeout_seconds)
    return [position_from_pb(one) for one in response.results]


def _ignore(progress: MapProgress) -> None:
    """Where the caller wants no progress."""
