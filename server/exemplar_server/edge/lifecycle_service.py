"""The methods of SupportSetService about what becomes of support sets after they were filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar.v1 import support_set_pb2_grpc as rpc
from exemplar_server.edge import answers_lifecycle as answers
from exemplar_server.edge import wire, wire_lifecycle

if TYPE_CHECKING:
    from exemplar.v1 import support_set_pb2 as pb
    from exemplar_server.core.limits import Limits
    from exemplar_server.core.support_sets import Call, SupportSets


class LifecycleMethods(rpc.SupportSetServiceServicer):
    """A part of SupportSetServicer, which sets the attributes."""

    _support_sets: SupportSets
    _limits: Limits

    async def UpdateExemplars(  # type: ignore[override]
        self, request: pb.UpdateExemplarsRequest, call: Call
    ) -> pb.UpdateExemplarsResponse:
        change = await self._support_sets.update_exemplars(
            call.tenant,
            wire.name("support_set", request.support_set),
            wire_lifecycle.updates(request, self._limits),
            expected_revision=wire.expected_revision(request),
            key=wire.request_key(request),
        )
        return answers.update_response(change)
