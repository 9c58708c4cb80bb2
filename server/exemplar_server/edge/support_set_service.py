"""Keeps each tenant's support sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar.v1 import support_set_pb2 as pb
from exemplar_server.edge import answers, answers_lifecycle, wire
from exemplar_server.edge.lifecycle_service import LifecycleMethods

if TYPE_CHECKING:
    from exemplar_server.core.limits import Limits
    from exemplar_server.core.support_sets import Call, SupportSets
    from exemplar_server.edge.metrics import Metrics


class SupportSetServicer(LifecycleMethods):
    def __init__(self, support_sets: SupportSets, limits: Limits, metrics: Metrics) -> None:
        self._support_sets = support_sets
        self._limits = limits
        self._metrics = metrics

    async def CreateSupportSet(  # type: ignore[override]
        self, request: pb.CreateSupportSetRequest, call: Call
    ) -> pb.CreateSupportSetResponse:
        name = wire.name("name", request.name)
        key = wire.request_key(request)
        created = await self._support_sets.create(
            call.tenant,
            name,
            wire.backbone(request.backbone),
            keep_images=wire.keep_images(request),
            key=key,
        )
        return pb.CreateSupportSetResponse(support_set=answers.described(created, {}))

    async def GetSupportSet(  # type: ignore[override]
        self, request: pb.GetSupportSetRequest, call: Call
    ) -> pb.GetSupportSetResponse:
        name = wire.name("name", request.name)
        found, labels = await self._support_sets.describe(call.tenant, name, request.min_revision)
        return pb.GetSupportSetResponse(support_set=answers.described(found, labels))

    async def ListSupportSets(  # type: ignore[override]
        self, request: pb.ListSupportSetsRequest, call: Call
    ) -> pb.ListSupportSetsResponse:
        after, count = wire.page_token(request.page_token), wire.page_size(request.page_size)
        page = await self._support_sets.page(call.tenant, after, count)
        return answers.support_sets_response(page)

    async def DeleteSupportSet(  # type: ignore[override]
        self, request: pb.DeleteSupportSetRequest, call: Call
    ) -> pb.DeleteSupportSetResponse:
        name = wire.name("name", request.name)
        change = await self._support_sets.delete(
            call.tenant, name, wire.expected_revision(request), wire.request_key(request)
        )
        return pb.DeleteSupportSetResponse(
            deleted_exemplar_count=change.exemplar_count,
            revision=change.revision,
            receipt=answers_lifecycle.receipt(change.receipt),
        )

    async def AddExemplars(  # type: ignore[override]
        self, request: pb.AddExemplarsRequest, call: Call
    ) -> pb.AddExemplarsResponse:
        added = await self._support_sets.add(
            call,
            wire.name("support_set", request.support_set),
            wire.exemplars(request, self._limits),
            all_or_nothing=request.all_or_nothing,
            expected_revision=wire.expected_revision(request),
            key=wire.request_key(request),
        )
        self._metrics.observe(added.timings, added.change.items)
        return answers.add_response(added)

    async def RemoveExemplars(  # type: ignore[override]
        self, request: pb.RemoveExemplarsRequest, call: Call
    ) -> pb.RemoveExemplarsResponse:
        change = await self._support_sets.remove(
            call.tenant,
            wire.name("support_set", request.support_set),
            wire.exemplar_ids(request),
            expected_revision=wire.expected_revision(request),
            key=wire.request_key(request),
        )
        return answers.remove_response(change)

    async def ListExemplars(  # type: ignore[override]
        self, request: pb.ListExemplarsRequest, call: Call
    ) -> pb.ListExemplarsResponse:
        name = wire.name("support_set", request.support_set)
        listed = await self._support_sets.exemplars(
            call.tenant,
            name,
            wire.listing(request),
            request.min_revision,
            with_thumbnails=request.include_thumbnails,
        )
        return answers.exemplars_response(listed)
