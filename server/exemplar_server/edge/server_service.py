"""Tells what this server is and what it allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar.v1 import admin_pb2 as pb
from exemplar.v1 import admin_pb2_grpc as rpc
from exemplar_server.edge import answers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from exemplar_server.core.embedder import Backbone
    from exemplar_server.core.limits import Limits
    from exemplar_server.core.support_sets import Call


class ServerServicer(rpc.ServerServiceServicer):
    def __init__(
        self,
        version: str,
        limits: Limits,
        backbones: Sequence[Backbone],
        epoch: Callable[[], Awaitable[str]],
    ) -> None:
        self._version = version
        self._limits = limits
        self._backbones = backbones
        self._epoch = epoch

    async def GetServerInfo(  # type: ignore[override]
        self, _request: pb.GetServerInfoRequest, call: Call
    ) -> pb.GetServerInfoResponse:
        return pb.GetServerInfoResponse(
            version=self._version,
            limits=answers.limits(self._limits),
            backbones=[answers.backbone(backbone) for backbone in self._backbones],
            execution_provider=self._backbones[0].execution_provider,
            tenant=call.tenant,
            store_epoch=await self._epoch(),
        )
