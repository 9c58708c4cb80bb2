"""The plan that adds exemplars: request after request, so that a job can be tried again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import length_hint

from exemplar.answers import AddResult, Limits
from exemplar.calls import ADD_EXEMPLARS, GET_SUPPORT_SET, Plan, send, work
from exemplar.cutting import Cutter, contents, cut, cutter_for, merge, renumber
from exemplar.embedding import ItemError, item_error_from_pb
from exemplar.errors import ExemplarError, InvalidArgumentError
from exemplar.images import Labelled, new_exemplars
from exemplar.memory import Memory, known_limits
from exemplar.progress import ProgressBar
from exemplar.support_set_plans import new_request_id, part_request_id
from exemplar.v1 import support_set_pb2

_Slots = list[support_set_pb2.NewExemplar | ItemError]


@dataclass(frozen=True)
class AddOptions:
    all_or_nothing: bool
    expected_revision: int | None
    request_id: str | None
    progress: bool


def add_exemplars(
    memory: Memory, support_set: str, exemplars: Iterable[Labelled], options: AddOptions
) -> Plan[AddResult]:
    """Each part expects the revision that the part before it made, where one is expected."""
    limits = yield from known_limits(memory)
    job_id = options.request_id or new_request_id()
    expected_revision = options.expected_revision
    gathered = _Gathered()
    bar = ProgressBar("adding", length_hint(exemplars), options.progress)
    parts = enumerate(_parts(exemplars, limits, options.all_or_nothing))
    while part := (yield from work(partial(next, parts, None))):
        number, slots = part
        request = support_set_pb2.AddExemplarsRequest(
            support_set=support_set,
            exemplars=contents(slots),
            all_or_nothing=options.all_or_nothing,
            request_id=part_request_id(job_id, number),
            expected_revision=expected_revision,
        )
        response = yield from _add_part(request, gathered, job_id)
        gathered.take(slots, response)
        memory.saw(support_set, response.revision)
        expected_revision = None if expected_revision is None else response.revision
        bar.advance(len(slots))
    bar.close()
    return gathered.result()


class _Gathered:
    """The results of the parts so far, in order."""

    def __init__(self) -> None:
        self.exemplar_ids: list[str | None] = []
        self._errors: dict[int, ItemError] = {}
        self._last = support_set_pb2.AddExemplarsResponse()

    def take(self, slots: _Slots, response: support_set_pb2.AddExemplarsResponse) -> None:
        for result in merge(slots, [_id_or_error(r) for r in response.results], _itself):
            if isinstance(result, ItemError):
                position = len(self.exemplar_ids)
                self._errors[position] = renumber(result, position)
            self.exemplar_ids.append(result if isinstance(result, str) else None)
        self._last = response

    def result(self) -> AddResult:
        return AddResult(
            revision=self._last.revision,
            exemplar_ids=self.exemplar_ids,
            errors=self._errors,
            exemplar_count=self._last.exemplar_count,
        )


def _add_part(
    request: support_set_pb2.AddExemplarsRequest, gathered: _Gathered, job_id: str
) -> Plan[support_set_pb2.AddExemplarsResponse]:
    if not request.exemplars:
        return (yield from _unchanged(request.support_set))
    try:
        return (yield from send(ADD_EXEMPLARS, request))
    except ExemplarError as error:
        if gathered.exemplar_ids:
            error.add_note(
                f"the first {len(gathered.exemplar_ids)} exemplars were answered before this; the "
                f"same call with request_id={job_id!r} goes on where it stopped"
            )
        raise


def _unchanged(support_set: str) -> Plan[support_set_pb2.AddExemplarsResponse]:
    """Nothing is left to send: the support set as it is."""
    request = support_set_pb2.GetSupportSetRequest(name=support_set)
    described = (yield from send(GET_SUPPORT_SET, request)).support_set
    return support_set_pb2.AddExemplarsResponse(
        revision=described.revision, exemplar_count=described.exemplar_count
    )


def _parts(exemplars: Iterable[Labelled], limits: Limits, all_or_nothing: bool) -> Iterator[_Slots]:
    """At least one, so that also an empty job is answered."""
    cutter: Cutter[support_set_pb2.NewExemplar] = cutter_for(
        limits, support_set_pb2.NewExemplar.ByteSize
    )
    parts = cut(new_exemplars(exemplars, limits), cutter)
    if all_or_nothing:
        yield _only_part(list(parts), limits)
        return
    yield next(parts, [])
    yield from parts


def _only_part(parts: list[_Slots], limits: Limits) -> _Slots:
    """The whole job in one request, the unit that the server can refuse whole."""
    slots = [slot for part in parts for slot in part]
    for slot in slots:
        if isinstance(slot, ItemError):
            raise InvalidArgumentError(slot.message, reason=slot.reason)
    if len(parts) > 1:
        raise InvalidArgumentError(
            f"exemplars: expected at most {limits.images_per_request} and "
            f"{limits.message_bytes} bytes with all_or_nothing, got {len(slots)}",
            reason="LIMIT_EXCEEDED",
        )
    return slots


def _id_or_error(result: support_set_pb2.AddExemplarResult) -> str | ItemError:
    if result.HasField("error"):
        return item_error_from_pb(result.error)
    return result.exemplar_id


def _itself(error: ItemError) -> str | ItemError:
    return error
