"""Protobuf to domain for what becomes of support sets: every check of their requests' fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar_server.core.exemplars import ExemplarUpdate, ItemResult
from exemplar_server.edge import wire
from exemplar_server.edge.checks import check_count, check_label, check_metadata, shown
from exemplar_server.errors import ExemplarError, InvalidInputError

if TYPE_CHECKING:
    from exemplar.v1 import support_set_pb2 as pb
    from exemplar_server.core.limits import Limits


def updates(
    request: pb.UpdateExemplarsRequest, limits: Limits
) -> list[ExemplarUpdate | ItemResult]:
    """What is wrong with one stands in its place."""
    check_count("updates", request.updates, wire.MAX_PAGE)
    return [
        _update(f"updates[{number}]", update, limits)
        for number, update in enumerate(request.updates)
    ]


def _update(path: str, update: pb.ExemplarUpdate, limits: Limits) -> ExemplarUpdate | ItemResult:
    label = update.label if update.HasField("label") else None
    metadata = dict(update.metadata.entries) if update.HasField("metadata") else None
    try:
        wire.name(f"{path}.exemplar_id", update.exemplar_id)
        if label is None and metadata is None:
            raise InvalidInputError(f"{path}: expected a label or metadata, got neither")
        if label is not None:
            check_label(path, label, limits)
        check_metadata(path, metadata or {}, limits)
    except ExemplarError as error:
        return ItemResult.failed(error)
    return ExemplarUpdate(update.exemplar_id, label, metadata)


def keep_images(request: pb.UpdateSupportSetRequest) -> bool:
    if not request.HasField("keep_images"):
        raise InvalidInputError("keep_images: expected true or false, got neither")
    return request.keep_images


def target(request: pb.RollBackSupportSetRequest) -> str | int:
    """A snapshot's name or a revision."""
    kind = request.WhichOneof("to")
    if kind is None:
        raise InvalidInputError("to: expected a snapshot or a revision, got neither")
    return request.revision if kind == "revision" else wire.name("snapshot", request.snapshot)


def check_confirmation(request: pb.DeleteTenantRequest, tenant: str) -> None:
    if request.confirmation != tenant:
        raise InvalidInputError(
            f"confirmation: expected this tenant's name {tenant!r}, "
            f"got {shown(request.confirmation)}"
        )
