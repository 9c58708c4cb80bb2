"""Classifies images by the support set's nearest exemplars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from exemplar.v1 import classification_pb2 as pb
from exemplar.v1 import classification_pb2_grpc as rpc
from exemplar_server.core.embedder import Timings
from exemplar_server.edge import answers, status, wire
from exemplar_server.edge.streams import in_order
from exemplar_server.errors import ExemplarError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from exemplar_server.core.limits import Limits
    from exemplar_server.core.support_sets import Call, SupportSets
    from exemplar_server.edge.metrics import Metrics

log = structlog.get_logger()


class ClassificationServicer(rpc.ClassificationServiceServicer):
    def __init__(self, support_sets: SupportSets, limits: Limits, metrics: Metrics) -> None:
        self._support_sets = support_sets
        self._limits = limits
        self._metrics = metrics

    async def Classify(  # type: ignore[override]
        self, request: pb.ClassifyRequest, call: Call
    ) -> pb.ClassifyResponse:
        name = wire.name("support_set", request.support_set)
        queries = wire.queries(request, self._limits)
        options = wire.classify_options(request, self._limits)
        classified = await self._support_sets.classify(
            call, name, queries, options, request.min_revision
        )
        self._metrics.observe(classified.timings, classified.answers)
        return answers.classify_response(classified)

    async def StreamClassify(  # type: ignore[override]
        self, request_iterator: AsyncIterator[pb.StreamClassifyRequest], call: Call
    ) -> AsyncIterator[pb.StreamClassifyResponse]:
        async def answer(request: pb.StreamClassifyRequest) -> pb.StreamClassifyResponse:
            try:
                response = await self.Classify(request.request, call)
            except ExemplarError as error:  # costs this request only: the stream goes on
                self._metrics.observe(Timings(), [error])
                log.info(
                    "stream_request_failed", reason=status.reason_of(error), tenant=call.tenant
                )
                return pb.StreamClassifyResponse(error=answers.item_error(error))
            return pb.StreamClassifyResponse(response=response)

        async for response in in_order(request_iterator, answer):
            yield response
