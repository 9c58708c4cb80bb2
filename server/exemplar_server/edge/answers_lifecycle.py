"""Domain to protobuf for what becomes of support sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar.v1 import support_set_pb2 as pb
from exemplar_server.edge import answers

if TYPE_CHECKING:
    from exemplar_server.core.exemplars import Change


def update_response(change: Change) -> pb.UpdateExemplarsResponse:
    return pb.UpdateExemplarsResponse(
        results=[
            pb.UpdateExemplarResult(error=answers.item_result_error(item))
            if item.reason
            else pb.UpdateExemplarResult(exemplar_id=item.exemplar_id)
            for item in change.items
        ],
        revision=change.revision,
        exemplar_count=change.exemplar_count,
    )
