"""Draws maps of support sets and of items, and places queries on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar.v1 import map_pb2 as pb
from exemplar.v1 import map_pb2_grpc as rpc
from exemplar_server.edge import answers_maps, wire, wire_maps

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from exemplar_server.core.limits import Limits
    from exemplar_server.core.maps import Maps
    from exemplar_server.core.support_sets import Call, SupportSets
    from exemplar_server.edge.metrics import Metrics


class MapServicer(rpc.MapServiceServicer):
    def __init__(
        self, support_sets: SupportSets, maps: Maps, limits: Limits, metrics: Metrics
    ) -> None:
        self._support_sets = support_sets
        self._maps = maps
        self._limits = limits
        self._metrics = metrics

    async def ComputeMap(  # type: ignore[override]
        self, request: pb.ComputeMapRequest, call: Call
    ) -> AsyncIterator[pb.ComputeMapResponse]:
        name = wire.name("support_set", request.support_set)
        options = wire_maps.map_options(request)
        using = self._support_sets.snapshot(call.tenant, name, request.min_revision)
        async with using as snapshot:
            events = self._maps.of_exemplars(
                call.tenant, snapshot, options, with_thumbnails=request.include_thumbnails
            )
            async for event in events:
                yield answers_maps.exemplars_event(event)

    async def ComputeMapOfItems(  # type: ignore[override]
        self, request_iterator: AsyncIterator[pb.ComputeMapOfItemsRequest], call: Call
    ) -> AsyncIterator[pb.ComputeMapOfItemsResponse]:
        asked = await wire_maps.items_options(request_iterator)
        options = wire_maps.map_options(asked)
        embedder = self._support_sets.embedders.named(wire.backbone(asked.backbone))
        items = wire_maps.items(request_iterator, self._limits)
        async for event in self._maps.of_items(call, embedder, items, options):
            yield answers_maps.items_event(event)

    async def PlaceOnMap(  # type: ignore[override]
        self, request: pb.PlaceOnMapRequest, call: Call
    ) -> pb.PlaceOnMapResponse:
        name = wire.name("support_set", request.support_set)
        placing = wire_maps.placing(request, self._limits)
        using = self._support_sets.snapshot(call.tenant, name, request.min_revision)
        async with using as snapshot:
            embedder = self._support_sets.embedders.of(snapshot.support_set)
            placed = await self._maps.place(call, snapshot, embedder, placing)
        self._metrics.observe(placed.timings, placed.places)
        return answers_maps.place_response(placed)
