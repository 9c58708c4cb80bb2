"""The methods of SupportSetService about what becomes of support sets after they were filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar.v1 import support_set_pb2 as pb
from exemplar.v1 import support_set_pb2_grpc as rpc
from exemplar_server.edge import answers_lifecycle as answers
from exemplar_server.edge import wire, wire_lifecycle

if TYPE_CHECKING:
    from exemplar_server.core.limits import Limits
    from exemplar_server.core.support_sets import Call, SupportSets


class LifecycleMethods(rpc.SupportSetServiceServicer):
    """A part of SupportSetServicer, which sets the attributes."""

    _support_sets: SupportSets
    _limits: Limits

    async def UpdateExemplars(  # type: ignore[override]
        self, request: pb.UpdateExemplarsRequest, call: Call
    ) -> pb.UpdateExemplarsResponse:
        change = await self._support_sets.lifecycle.update_exemplars(
            call.tenant,
            wire.name("support_set", request.support_set),
            wire_lifecycle.updates(request, self._limits),
            expected_revision=wire.expected_revision(request),
            key=wire.request_key(request),
        )
        return answers.update_response(change)

    async def UpdateSupportSet(  # type: ignore[override]
        self, request: pb.UpdateSupportSetRequest, call: Call
    ) -> pb.UpdateSupportSetResponse:
        change = await self._support_sets.lifecycle.update(
            call.tenant,
            wire.name("name", request.name),
            keep_images=wire_lifecycle.keep_images(request),
            expected_revision=wire.expected_revision(request),
            key=wire.request_key(request),
        )
        return answers.update_support_set_response(change)

    async def CopySupportSet(  # type: ignore[override]
        self, request: pb.CopySupportSetRequest, call: Call
    ) -> pb.CopySupportSetResponse:
        change = await self._support_sets.lifecycle.copy(
            call.tenant,
            wire.name("support_set", request.support_set),
            wire.name("new_name", request.new_name),
            min_revision=request.min_revision,
            key=wire.request_key(request),
        )
        return pb.CopySupportSetResponse(
            revision=change.revision, exemplar_count=change.exemplar_count
        )

    async def CreateSnapshot(  # type: ignore[override]
        self, request: pb.CreateSnapshotRequest, call: Call
    ) -> pb.CreateSnapshotResponse:
        change = await self._support_sets.lifecycle.create_snapshot(
            call.tenant,
            wire.name("support_set", request.support_set),
            wire.name("snapshot", request.snapshot),
            most=self._limits.snapshots,
            expected_revision=wire.expected_revision(request),
            key=wire.request_key(request),
        )
        return pb.CreateSnapshotResponse(
            revision=change.revision, exemplar_count=change.exemplar_count
        )

    async def ListSnapshots(  # type: ignore[override]
        self, request: pb.ListSnapshotsRequest, call: Call
    ) -> pb.ListSnapshotsResponse:
        name = wire.name("support_set", request.support_set)
        found = await self._support_sets.lifecycle.snapshots(call.tenant, name)
        return answers.snapshots_response(found)

    async def DeleteSnapshot(  # type: ignore[override]
        self, request: pb.DeleteSnapshotRequest, call: Call
    ) -> pb.DeleteSnapshotResponse:
        await self._support_sets.lifecycle.delete_snapshot(
            call.tenant,
            wire.name("support_set", request.support_set),
            wire.name("snapshot", request.snapshot),
            key=wire.request_key(request),
        )
        return pb.DeleteSnapshotResponse()

    async def RollBackSupportSet(  # type: ignore[override]
        self, request: pb.RollBackSupportSetRequest, call: Call
    ) -> pb.RollBackSupportSetResponse:
        change = await self._support_sets.lifecycle.roll_back(
            call.tenant,
            wire.name("support_set", request.support_set),
            wire_lifecycle.target(request),
            expected_revision=wire.expected_revision(request),
            key=wire.request_key(request),
        )
        return pb.RollBackSupportSetResponse(
            revision=change.revision, exemplar_count=change.exemplar_count
        )

    async def WarmUp(  # type: ignore[override]
        self, request: pb.WarmUpRequest, call: Call
    ) -> pb.WarmUpResponse:
        name = wire.name("support_set", request.support_set)
        ready = await self._support_sets.lifecycle.warm_up(call.tenant, name, request.min_revision)
        return pb.WarmUpResponse(**vars(ready))

    async def DeleteTenant(  # type: ignore[override]
        self, request: pb.DeleteTenantRequest, call: Call
    ) -> pb.DeleteTenantResponse:
        wire_lifecycle.check_confirmation(request, call.tenant)
        key = wire.request_key(request)
        receipt = await self._support_sets.lifecycle.delete_tenant(call.tenant, key)
        return pb.DeleteTenantResponse(receipt=answers.receipt(receipt))
