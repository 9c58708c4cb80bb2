"""Plans that embed and classify. A plan is explained in calls.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from operator import length_hint
from typing import Generic, TypeVar

from exemplar.answers import (
    Answer,
    Backbone,
    ServerInfo,
    answers_from_pb,
    backbone_from_pb,
)
from exemplar.calls import (
    CLASSIFY,
    EMBED,
    LIST_BACKBONES,
    Call,
    Calls,
    Method,
    Pause,
    Plan,
    RequestT,
    ResponseT,
    send,
)
from exemplar.cutting import Cutter, contents, cut, cutter_for, merge, renumber
from exemplar.embedding import (
    Embedding,
    ItemError,
    embedding_from_result,
    failed_embedding,
)
from exemplar.errors import InvalidArgumentError, UnavailableError
from exemplar.images import Image, ImageFile, image_files, queries
from exemplar.map_result import MapPosition
from exemplar.memory import Memory, known_limits, learning, server_info
from exemplar.progress import ProgressBar
from exemplar.v1 import classification_pb2, embedding_pb2

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT", Answer, Embedding, MapPosition)

# Between two looks at a server that starts: short beside a start, long beside a call.
_READY_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class ClassifyOptions:
    k: int | None
    head: str | None
    temperature: float | None
    neighbors: bool
    false_accept_rate: float | None = None
    coverage: float | None = None
    exact: bool = False

    def request(
        self, support_set: str, items: list[classification_pb2.Query], min_revision: int
    ) -> classification_pb2.ClassifyRequest:
        return classification_pb2.ClassifyRequest(
            support_set=support_set,
            queries=items,
            k=self.k,
            head=head_number(self.head),
            temperature=self.temperature,
            min_revision=min_revision,
            include_neighbors=self.neighbors,
            false_accept_rate=self.false_accept_rate,
            coverage=self.coverage,
            exact=self.exact,
        )


def head_number(head: str | None) -> classification_pb2.Head.ValueType:
    if head is None:
        return classification_pb2.HEAD_UNSPECIFIED
    names = {
        name.removeprefix("HEAD_").lower(): number
        for name, number in classification_pb2.Head.items()
        if number != classification_pb2.HEAD_UNSPECIFIED
    }
    if head not in names:
        raise InvalidArgumentError(f"head: expected one of {', '.join(names)}, got {head!r}")
    return names[head]


def classify(
    memory: Memory,
    support_set: str,
    images: Iterable[Image],
    options: ClassifyOptions,
    *,
    min_revision: int | None,
    progress: bool,
) -> Plan[list[Answer]]:
    limits = yield from known_limits(memory)
    revision = memory.wanted_revision(support_set, min_revision)

    def request_of(items: list[classification_pb2.Query]) -> classification_pb2.ClassifyRequest:
        return options.request(support_set, items, revision)

    def results_of(response: classification_pb2.ClassifyResponse) -> list[Answer]:
        memory.saw(support_set, response.revision)
        return answers_from_pb(response)

    cutter: Cutter[classification_pb2.Query] = cutter_for(limits, classification_pb2.Query.ByteSize)
    bar = ProgressBar("classifying", length_hint(images), progress)
    each = _Each(CLASSIFY, request_of, results_of, failed_answer, bar)
    return (yield from learning(memory, each.run(cut(queries(images, limits), cutter))))


def failed_answer(error: ItemError) -> Answer:
    return Answer(error=error)


def embed(
    memory: Memory, images: Iterable[ImageFile], backbone: str, progress: bool
) -> Plan[list[Embedding]]:
    limits = yield from known_limits(memory)

    def request_of(items: list[bytes]) -> embedding_pb2.EmbedRequest:
        return embedding_pb2.EmbedRequest(images=items, backbone=backbone)

    def results_of(response: embedding_pb2.EmbedResponse) -> list[Embedding]:
        return [embedding_from_result(result) for result in response.results]

    cutter: Cutter[bytes] = cutter_for(limits, len)
    bar = ProgressBar("embedding", length_hint(images), progress)
    each = _Each(EMBED, request_of, results_of, failed_embedding, bar)
    return (yield from each.run(cut(image_files(images, limits), cutter)))


@dataclass(frozen=True)
class _Each(Generic[ItemT, RequestT, ResponseT, ResultT]):
    """A reading job that answers each item on its own, cut into requests that run side by side."""

    method: Method[RequestT, ResponseT]
    request_of: Callable[[list[ItemT]], RequestT]
    results_of: Callable[[ResponseT], list[ResultT]]
    failed: Callable[[ItemError], ResultT]
    bar: ProgressBar

    def run(self, parts: Iterable[list[ItemT | ItemError]]) -> Plan[list[ResultT]]:
        results: list[ResultT] = []
        unsent: list[ItemT | ItemError] = []
        try:
            yield Calls(self._calls(parts, results, unsent))
        finally:
            self.bar.close()
        results.extend(merge(unsent, [], self.failed))
        return [renumbered(result, position) for position, result in enumerate(results)]

    def _calls(
        self,
        parts: Iterable[list[ItemT | ItemError]],
        results: list[ResultT],
        unsent: list[ItemT | ItemError],
    ) -> Iterator[Call[RequestT, ResponseT]]:
        for slots in parts:
            if items := contents(slots):
                take = partial(self._take, results, slots)
                yield Call(self.method, self.request_of(items), take)
            else:
                # Errors weigh nothing, so that only the last part can hold nothing else.
                unsent.extend(slots)

    def _take(
        self, results: list[ResultT], slots: list[ItemT | ItemError], response: ResponseT
    ) -> None:
        results.extend(merge(slots, self.results_of(response), self.failed))
        self.bar.advance(len(slots))


def renumbered(result: ResultT, position: int) -> ResultT:
    return replace(result, error=renumber(result.error, position)) if result.error else result


def list_backbones() -> Plan[list[Backbone]]:
    response = yield from send(LIST_BACKBONES, embedding_pb2.ListBackbonesRequest())
    return [backbone_from_pb(backbone) for backbone in response.backbones]


def wait_until_ready(memory: Memory, timeout_seconds: float) -> Plan[ServerInfo]:
    """Asks again while the server says that it starts."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        remaining_seconds = max(deadline - time.monotonic(), 0.001)
        try:
            return (
                yield from server_info(
                    memory, timeout_seconds=remaining_seconds, wait_for_ready=True
                )
            )
        except UnavailableError:
            if time.monotonic() + _READY_PAUSE_SECONDS >= deadline:
                raise
        yield Pause(_READY_PAUSE_SECONDS)
