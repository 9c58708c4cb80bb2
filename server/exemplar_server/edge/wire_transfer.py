"""Protobuf to domain and back for transfers: checks of what is sent and of what is in a file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from exemplar.v1 import transfer_pb2 as pb
from exemplar_server.core.transfers import Exported, ImportOptions
from exemplar_server.edge import answers, wire
from exemplar_server.edge.checks import check_label, shown
from exemplar_server.errors import InvalidInputError, LimitExceededError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from exemplar_server.core.exemplars import NewExemplar
    from exemplar_server.core.limits import Limits
    from exemplar_server.core.support_set_reading import Check

SHA256 = re.compile(r"[0-9a-f]{64}")


def export_part(part: Exported | bytes) -> pb.ExportSupportSetResponse:
    if isinstance(part, bytes):
        return pb.ExportSupportSetResponse(chunk=part)
    described = answers.described(part.support_set, {})
    return pb.ExportSupportSetResponse(
        file=pb.ExportedFile(support_set=described, size_bytes=part.size_bytes, sha256=part.sha256)
    )


async def import_options(requests: AsyncIterator[pb.ImportSupportSetRequest]) -> ImportOptions:
    """What the first request of a stream says."""
    first = await anext(requests, pb.ImportSupportSetRequest())
    if not first.HasField("options"):
        raise InvalidInputError(
            f"options: expected in the first request, got {first.WhichOneof('part') or 'none'}"
        )
    options = first.options
    if not SHA256.fullmatch(options.sha256):
        raise InvalidInputError(
            f"sha256: expected 64 hexadecimal digits, got {shown(options.sha256)}"
        )
    return ImportOptions(
        wire.name("name", options.name),
        options.size_bytes,
        options.sha256,
        options.reembed,
        wire.backbone(options.backbone),
        wire.request_key(options),
    )


async def chunks(requests: AsyncIterator[pb.ImportSupportSetRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.WhichOneof("part") != "chunk":
            raise InvalidInputError(
                "chunk: expected in every request but the first, "
                f"got {request.WhichOneof('part') or 'none'}"
            )
        yield request.chunk


def exemplar_check(limits: Limits) -> Check:
    """What AddExemplars refuses, an import refuses, too."""

    def check(path: str, exemplar: NewExemplar) -> None:
        wire.name(f"{path}.exemplar_id", exemplar.exemplar_id)
        check_label(path, exemplar.label, limits)
        size = sum(len(k.encode()) + len(v.encode()) for k, v in exemplar.metadata.items())
        if size > limits.metadata_bytes:
            raise LimitExceededError(
                f"{path}.metadata: expected up to {limits.metadata_bytes} bytes, got {size}"
            )

    return check
