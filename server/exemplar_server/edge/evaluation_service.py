"""Tells how good a support set is, from its own exemplars."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from exemplar.v1 import evaluation_pb2 as pb
from exemplar.v1 import evaluation_pb2_grpc as rpc
from exemplar_server.core.evaluation import evaluate
from exemplar_server.edge import answers_evaluation, wire, wire_evaluation

if TYPE_CHECKING:
    from exemplar_server.core.limits import Limits
    from exemplar_server.core.support_sets import Call, SupportSets


class EvaluationServicer(rpc.EvaluationServiceServicer):
    def __init__(self, support_sets: SupportSets, limits: Limits) -> None:
        self._support_sets = support_sets
        self._limits = limits

    async def EvaluateSupportSet(  # type: ignore[override]
        self, request: pb.EvaluateSupportSetRequest, call: Call
    ) -> pb.EvaluateSupportSetResponse:
        name = wire.name("support_set", request.support_set)
        options = wire_evaluation.options(request, self._limits)
        using = self._support_sets.snapshot(call.tenant, name, request.min_revision)
        async with using as snapshot:
            evaluation = await asyncio.to_thread(
                evaluate, snapshot, options.head, options.k, options.findings
            )
        named = evaluation.named_ids(options.thumbnails)
        thumbnails = await self._support_sets.thumbnails(snapshot.support_set, named)
        return answers_evaluation.response(evaluation, thumbnails)
