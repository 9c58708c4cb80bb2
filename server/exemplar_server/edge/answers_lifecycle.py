"""Domain to protobuf for what becomes of support sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar.v1 import support_set_pb2 as pb
from exemplar_server.edge import answers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exemplar_server.core.exemplars import Change, Receipt, SavedSnapshot


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


def update_support_set_response(change: Change) -> pb.UpdateSupportSetResponse:
    return pb.UpdateSupportSetResponse(
        revision=change.revision,
        deleted_images=change.receipt.images,
        deleted_image_bytes=change.receipt.image_bytes,
    )


def snapshots_response(found: Sequence[SavedSnapshot]) -> pb.ListSnapshotsResponse:
    return pb.ListSnapshotsResponse(snapshots=[_snapshot(saved) for saved in found])


def _snapshot(saved: SavedSnapshot) -> pb.Snapshot:
    message = pb.Snapshot(
        name=saved.name, revision=saved.revision, exemplar_count=saved.exemplar_count
    )
    message.create_time.FromDatetime(saved.created)
    return message


def receipt(value: Receipt) -> pb.DeletionReceipt:
    return pb.DeletionReceipt(**vars(value))
