"""Plans of what becomes of support sets. A plan is explained in calls.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from exemplar.calls import UPDATE_EXEMPLARS, Plan, send
from exemplar.cutting import renumber
from exemplar.embedding import ItemError, item_error_from_pb
from exemplar.lifecycle import ExemplarUpdate, UpdateResult, Updates
from exemplar.memory import Memory
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
