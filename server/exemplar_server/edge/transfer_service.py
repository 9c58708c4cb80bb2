"""Sends support sets as files, and makes support sets of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar.v1 import transfer_pb2 as pb
from exemplar.v1 import transfer_pb2_grpc as rpc
from exemplar_server.edge import answers, wire, wire_transfer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from exemplar_server.core.limits import Limits
    from exemplar_server.core.support_sets import Call
    from exemplar_server.core.transfers import Transfers


class TransferServicer(rpc.TransferServiceServicer):
    def __init__(self, transfers: Transfers, limits: Limits) -> None:
        self._transfers = transfers
        self._limits = limits

    async def ExportSupportSet(  # type: ignore[override]
        self, request: pb.ExportSupportSetRequest, call: Call
    ) -> AsyncIterator[pb.ExportSupportSetResponse]:
        name = wire.name("support_set", request.support_set)
        async for part in self._transfers.export(call.tenant, name, request.min_revision):
            yield wire_transfer.export_part(part)

    async def ImportSupportSet(  # type: ignore[override]
        self, request_iterator: AsyncIterator[pb.ImportSupportSetRequest], call: Call
    ) -> pb.ImportSupportSetResponse:
        options = await wire_transfer.import_options(request_iterator)
        chunks = wire_transfer.chunks(request_iterator)
        made = await self._transfers.take_in(
            call,
            options,
            chunks,
            wire_transfer.exemplar_check(self._limits),
            self._limits.image_bytes,
        )
        return pb.ImportSupportSetResponse(support_set=answers.described(made, {}))
