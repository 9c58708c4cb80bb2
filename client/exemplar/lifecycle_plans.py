"""Plans of what becomes of support sets. A plan is explained in calls.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from exemplar.calls import (
    COPY_SUPPORT_SET,
    CREATE_SNAPSHOT,
    DELETE_SNAPSHOT,
    DELETE_TENANT,
    LIST_SNAPSHOTS,
    ROLL_BACK_SUPPORT_SET,
    UPDATE_EXEMPLARS,
    UPDATE_SUPPORT_SET,
    WARM_UP,
    Plan,
    send,
)
from exemplar.cutting import renumber
from exemplar.embedding import ItemError, item_error_from_pb
from exemplar.lifecycle import (
    CopyResult,
    DeletionReceipt,
    ExemplarUpdate,
    ImagesResult,
    RollBackResult,
    Snapshot,
    SnapshotResult,
    UpdateResult,
    Updates,
    WarmUpResult,
    receipt_from_pb,
    snapshot_from_pb,
)
from exemplar.memory import Memory, learning
from exemplar.support_set_plans import new_request_id, part_request_id
from exemplar.v1 import support_set_pb2 as pb

# What the API allows in one UpdateExemplars.
_UPDATED_PER_REQUEST = 1000


def update_exemplars(
    memory: Memory,
    support_set: str,
    updates: Updates,
    expected_revision: int | None,
    request_id: str | None,
) -> Plan[UpdateResult]:
    """Parts go in order; each expects the revision that the part before it made."""
    asked = _updates(updates)
    job_id = request_id or new_request_id()
    errors: dict[int, ItemError] = {}
    result = UpdateResult(0, errors, 0)
    # At least one request, so that also an empty list is answered by the server.
    for part, start in enumerate(range(0, max(len(asked), 1), _UPDATED_PER_REQUEST)):
        request = pb.UpdateExemplarsRequest(
            support_set=support_set,
            updates=asked[start : start + _UPDATED_PER_REQUEST],
            request_id=part_request_id(job_id, part),
            expected_revision=expected_revision,
        )
        response = yield from send(UPDATE_EXEMPLARS, request)
        memory.saw(support_set, response.revision)
        errors.update(_update_errors(response.results, start))
        expected_revision = response.revision if expected_revision is not None else None
        result = UpdateResult(response.revision, errors, response.exemplar_count)
    return result


def update_support_set(
    memory: Memory,
    name: str,
    keep_images: bool,
    expected_revision: int | None,
    request_id: str | None,
) -> Plan[ImagesResult]:
    request = pb.UpdateSupportSetRequest(
        name=name,
        keep_images=keep_images,
        request_id=request_id or new_request_id(),
        expected_revision=expected_revision,
    )
    response = yield from send(UPDATE_SUPPORT_SET, request)
    memory.saw(name, response.revision)
    return ImagesResult(response.revision, response.deleted_images, response.deleted_image_bytes)


def copy_support_set(
    memory: Memory,
    support_set: str,
    new_name: str,
    min_revision: int | None,
    request_id: str | None,
) -> Plan[CopyResult]:
    request = pb.CopySupportSetRequest(
        support_set=support_set,
        new_name=new_name,
        min_revision=memory.wanted_revision(support_set, min_revision),
        request_id=request_id or new_request_id(),
    )
    response = yield from learning(memory, send(COPY_SUPPORT_SET, request))
    memory.forget(new_name)
    memory.saw(new_name, response.revision)
    return CopyResult(response.revision, response.exemplar_count)


def create_snapshot(
    support_set: str, snapshot: str, expected_revision: int | None, request_id: str | None
) -> Plan[SnapshotResult]:
    request = pb.CreateSnapshotRequest(
        support_set=support_set,
        snapshot=snapshot,
        request_id=request_id or new_request_id(),
        expected_revision=expected_revision,
    )
    response = yield from send(CREATE_SNAPSHOT, request)
    return SnapshotResult(response.revision, response.exemplar_count)


def list_snapshots(support_set: str) -> Plan[list[Snapshot]]:
    response = yield from send(LIST_SNAPSHOTS, pb.ListSnapshotsRequest(support_set=support_set))
    return [snapshot_from_pb(snapshot) for snapshot in response.snapshots]


def delete_snapshot(support_set: str, snapshot: str, request_id: str | None) -> Plan[None]:
    request = pb.DeleteSnapshotRequest(
        support_set=support_set, snapshot=snapshot, request_id=request_id or new_request_id()
    )
    yield from send(DELETE_SNAPSHOT, request)


def roll_back(
    memory: Memory,
    support_set: str,
    to: str | int,
    expected_revision: int | None,
    request_id: str | None,
) -> Plan[RollBackResult]:
    request = pb.RollBackSupportSetRequest(
        support_set=support_set,
        request_id=request_id or new_request_id(),
        expected_revision=expected_revision,
    )
    if isinstance(to, str):
        request.snapshot = to
    else:
        request.revision = to
    response = yield from send(ROLL_BACK_SUPPORT_SET, request)
    memory.saw(support_set, response.revision)
    return RollBackResult(response.revision, response.exemplar_count)


def warm_up(
    memory: Memory, support_set: str, min_revision: int | None, timeout_seconds: float
) -> Plan[WarmUpResult]:
    request = pb.WarmUpRequest(
        support_set=support_set, min_revision=memory.wanted_revision(support_set, min_revision)
    )
    asking = send(WARM_UP, request, timeout_seconds=timeout_seconds)
    response = yield from learning(memory, asking)
    memory.saw(support_set, response.revision)
    return WarmUpResult(response.revision, response.index_bytes, response.warm_up_ms)


def delete_tenant(
    confirmation: str, request_id: str | None, timeout_seconds: float
) -> Plan[DeletionReceipt]:
    request = pb.DeleteTenantRequest(
        confirmation=confirmation, request_id=request_id or new_request_id()
    )
    response = yield from send(DELETE_TENANT, request, timeout_seconds=timeout_seconds)
    return receipt_from_pb(response.receipt)


def _updates(updates: Updates) -> list[pb.ExemplarUpdate]:
    if isinstance(updates, Mapping):
        return [pb.ExemplarUpdate(exemplar_id=i, label=label) for i, label in updates.items()]
    return [_update(update) for update in updates]


def _update(update: ExemplarUpdate) -> pb.ExemplarUpdate:
    metadata = None if update.metadata is None else pb.Metadata(entries=update.metadata)
    return pb.ExemplarUpdate(exemplar_id=update.exemplar_id, label=update.label, metadata=metadata)


def _update_errors(results: Iterable[pb.UpdateExemplarResult], start: int) -> dict[int, ItemError]:
    return {
        position: renumber(item_error_from_pb(result.error), position)
        for position, result in enumerate(results, start)
        if result.HasField("error")
    }
