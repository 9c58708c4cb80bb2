"""Plans that read and change support sets. A plan is explained in calls.py."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from exemplar.answers import (
    DeleteResult,
    Exemplar,
    RemoveResult,
    SupportSet,
    exemplar_from_pb,
    support_set_from_pb,
)
from exemplar.calls import (
    CREATE_SUPPORT_SET,
    DELETE_SUPPORT_SET,
    GET_SUPPORT_SET,
    LIST_EXEMPLARS,
    LIST_SUPPORT_SETS,
    REMOVE_EXEMPLARS,
    Plan,
    send,
)
from exemplar.cutting import renumber
from exemplar.embedding import ItemError, item_error_from_pb
from exemplar.lifecycle import receipt_from_pb
from exemplar.memory import Memory, known_limits, learning
from exemplar.v1 import support_set_pb2

T = TypeVar("T")

# What the API allows in one RemoveExemplars.
_REMOVED_PER_REQUEST = 1000


@dataclass(frozen=True)
class Page(Generic[T]):
    items: list[T]
    next_token: str


def new_request_id() -> str:
    return str(uuid.uuid4())


def part_request_id(request_id: str, part: int) -> str:
    """The id of one request of a longer job: the same again when the whole job is tried again."""
    return request_id if part == 0 else str(uuid.uuid5(uuid.NAMESPACE_OID, f"{request_id}/{part}"))


def create_support_set(
    memory: Memory, name: str, backbone: str, keep_images: bool, request_id: str | None
) -> Plan[SupportSet]:
    request = support_set_pb2.CreateSupportSetRequest(
        name=name,
        backbone=backbone,
        keep_images=keep_images,
        request_id=request_id or new_request_id(),
    )
    yield from known_limits(memory)  # with the epoch that revisions are of
    response = yield from send(CREATE_SUPPORT_SET, request)
    memory.forget(name)
    memory.saw(name, response.support_set.revision)
    return support_set_from_pb(response.support_set)


def get_support_set(memory: Memory, name: str, min_revision: int | None) -> Plan[SupportSet]:
    request = support_set_pb2.GetSupportSetRequest(
        name=name, min_revision=memory.wanted_revision(name, min_revision)
    )
    response = yield from learning(memory, send(GET_SUPPORT_SET, request))
    memory.saw(name, response.support_set.revision)
    return support_set_from_pb(response.support_set)


def list_support_sets_page(page_size: int, page_token: str) -> Plan[Page[SupportSet]]:
    request = support_set_pb2.ListSupportSetsRequest(page_size=page_size, page_token=page_token)
    response = yield from send(LIST_SUPPORT_SETS, request)
    return Page(
        [support_set_from_pb(support_set) for support_set in response.support_sets],
        response.next_page_token,
    )


def delete_support_set(
    memory: Memory, name: str, expected_revision: int | None, request_id: str | None
) -> Plan[DeleteResult]:
    request = support_set_pb2.DeleteSupportSetRequest(
        name=name, request_id=request_id or new_request_id(), expected_revision=expected_revision
    )
    yield from known_limits(memory)  # with the epoch that revisions are of
    response = yield from send(DELETE_SUPPORT_SET, request)
    memory.saw(name, response.revision)
    receipt = receipt_from_pb(response.receipt)
    return DeleteResult(response.deleted_exemplar_count, response.revision, receipt)


def list_exemplars_page(
    memory: Memory, request: support_set_pb2.ListExemplarsRequest, page_token: str
) -> Plan[Page[Exemplar]]:
    page_request = support_set_pb2.ListExemplarsRequest()
    page_request.CopyFrom(request)
    page_request.page_token = page_token
    response = yield from learning(memory, send(LIST_EXEMPLARS, page_request))
    memory.saw(request.support_set, response.revision)
    return Page(
        [exemplar_from_pb(exemplar) for exemplar in response.exemplars], response.next_page_token
    )


def remove_exemplars(
    memory: Memory,
    support_set: str,
    exemplar_ids: Iterable[str],
    expected_revision: int | None,
    request_id: str | None,
) -> Plan[RemoveResult]:
    """Parts go in order; each expects the revision that the part before it made."""
    ids = _ids(exemplar_ids)
    job_id = request_id or new_request_id()
    errors: dict[int, ItemError] = {}
    result = RemoveResult(0, errors, 0)
    yield from known_limits(memory)  # with the epoch that revisions are of
    # At least one request, so that also an empty list is answered by the server.
    for part, start in enumerate(range(0, max(len(ids), 1), _REMOVED_PER_REQUEST)):
        request = support_set_pb2.RemoveExemplarsRequest(
            support_set=support_set,
            exemplar_ids=ids[start : start + _REMOVED_PER_REQUEST],
            request_id=part_request_id(job_id, part),
            expected_revision=expected_revision,
        )
        response = yield from send(REMOVE_EXEMPLARS, request)
        memory.saw(support_set, response.revision)
        errors.update(_removal_errors(response.results, start))
        expected_revision = response.revision if expected_revision is not None else None
        result = RemoveResult(response.revision, errors, response.exemplar_count)
    return result


def _ids(exemplar_ids: Iterable[str]) -> Sequence[str]:
    if isinstance(exemplar_ids, str):
        raise TypeError("exemplar_ids: expected a list of ids, got one str")
    return list(exemplar_ids)


def _removal_errors(
    results: Iterable[support_set_pb2.RemoveExemplarResult], start: int
) -> dict[int, ItemError]:
    return {
        position: renumber(item_error_from_pb(result.error), position)
        for position, result in enumerate(results, start)
        if result.HasField("error")
    }
