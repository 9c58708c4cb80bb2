"""Turns images into embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar.v1 import embedding_pb2 as pb
from exemplar.v1 import embedding_pb2_grpc as rpc
from exemplar_server.edge import answers, wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exemplar_server.core.embedder import Backbone
    from exemplar_server.core.limits import Limits
    from exemplar_server.core.support_sets import Call, SupportSets
    from exemplar_server.edge.metrics import Metrics


class EmbeddingServicer(rpc.EmbeddingServiceServicer):
    def __init__(
        self,
        support_sets: SupportSets,
        backbones: Sequence[Backbone],
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        self._support_sets = support_sets
        self._backbones = backbones
        self._limits = limits
        self._metrics = metrics

    async def Embed(  # type: ignore[override]
        self, request: pb.EmbedRequest, call: Call
    ) -> pb.EmbedResponse:
        images = wire.images(request, self._limits)
        embedder = self._support_sets.embedders.named(wire.backbone(request.backbone))
        embedded = await embedder.embed(call.tenant, images, call.deadline)
        self._metrics.observe(embedded.timings, embedded.items)
        return answers.embed_response(embedded, embedder.backbone.manifest.fingerprint)

    async def ListBackbones(  # type: ignore[override]
        self, _request: pb.ListBackbonesRequest, _call: Call
    ) -> pb.ListBackbonesResponse:
        backbones = [answers.backbone(backbone) for backbone in self._backbones]
        return pb.ListBackbonesResponse(backbones=backbones)
