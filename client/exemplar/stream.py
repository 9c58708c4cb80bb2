"""What both clients share of a classification stream: requests out, answers in, in order."""

from __future__ import annotations

from collections import deque

from exemplar.answers import Answer, Limits, answers_from_pb
from exemplar.cutting import Cutter, contents, cutter_for, merge
from exemplar.embedding import ItemError, item_error_from_pb
from exemplar.images import Image, query
from exemplar.inference_plans import ClassifyOptions, failed_answer, renumbered
from exemplar.v1 import classification_pb2

Slots = list[classification_pb2.Query | ItemError]
Request = classification_pb2.StreamClassifyRequest
Response = classification_pb2.StreamClassifyResponse


class ClassifyStream:
    """One thread may push while another takes answers: the queue between them is a deque.

    `failure` is what the caller's images raised: it ends the requests, and is raised to the caller
    after the answers to what came before it.
    """

    def __init__(
        self,
        support_set: str,
        options: ClassifyOptions,
        limits: Limits,
        min_revision: int,
        images_per_request: int,
    ) -> None:
        self._support_set = support_set
        self._options = options
        self._limits = limits
        self._min_revision = min_revision
        self._cutter: Cutter[classification_pb2.Query] = cutter_for(
            limits, classification_pb2.Query.ByteSize, images_per_request
        )
        self._sent: deque[Slots] = deque()
        self._unsent: Slots = []
        self._pushed = 0
        self._answered = 0
        self.failure: BaseException | None = None

    def push(self, image: Image) -> list[Request]:
        """Reads the image, which may block for a moment; the requests that it completes."""
        slot = query(image, self._limits, self._pushed)
        self._pushed += 1
        return [self._request(slots) for slots in self._cutter.push(slot)]

    def finish(self) -> list[Request]:
        rest = self._cutter.rest()
        if contents(rest):
            return [self._request(rest)]
        self._unsent.extend(rest)
        return []

    def answers(self, response: Response) -> list[Answer]:
        slots = self._sent.popleft()
        if response.HasField("error"):
            error = item_error_from_pb(response.error)
            return self._numbered(
                merge(slots, [failed_answer(error)] * len(contents(slots)), failed_answer)
            )
        return self._numbered(merge(slots, answers_from_pb(response.response), failed_answer))

    def unsent_answers(self) -> list[Answer]:
        """At the end: for trailing images of which none could be sent."""
        return self._numbered(merge(self._unsent, [], failed_answer))

    def _request(self, slots: Slots) -> Request:
        self._sent.append(slots)
        request = self._options.request(self._support_set, contents(slots), self._min_revision)
        return Request(request=request)

    def _numbered(self, answers: list[Answer]) -> list[Answer]:
        start = self._answered
        self._answered += len(answers)
        return [renumbered(answer, start + i) for i, answer in enumerate(answers)]
