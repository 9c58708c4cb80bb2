"""Draws support sets as maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar.v1 import map_pb2 as pb
from exemplar.v1 import map_pb2_grpc as rpc
from exemplar_server.edge import answers, wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from exemplar_server.core.maps import Maps
    from exemplar_server.core.support_sets import Call, SupportSets


class MapServicer(rpc.MapServiceServicer):
    def __init__(self, support_sets: SupportSets, maps: Maps) -> None:
        self._support_sets = support_sets
        self._maps = maps

    async def ComputeMap(  # type: ignore[override]
        self, request: pb.ComputeMapRequest, call: Call
    ) -> AsyncIterator[pb.ComputeMapResponse]:
        name = wire.name("support_set", request.support_set)
        options = wire.map_options(request)
        snapshot = await self._support_sets.snapshot(call.tenant, name, request.min_revision)
        events = self._maps.draw(snapshot, options, with_thumbnails=request.include_thumbnails)
        async for event in events:
            yield answers.map_event(event)
