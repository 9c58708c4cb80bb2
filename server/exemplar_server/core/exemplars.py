"""The nouns of the service: support sets, exemplars, and what changing them answers."""

from __future__ import annotations

import secrets
import time
import uuid
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from exemplar_server.errors import RevisionNotReachedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

    from exemplar_server.errors import ExemplarError


@dataclass(frozen=True)
class SupportSet:
    """A support set as of `revision`, keyed by `incarnation`: a name used again is another set."""

    incarnation: str
    name: str
    revision: int
    fingerprint: str
    backbone: str
    dim: int
    exemplar_count: int
    keep_images: bool
    created: datetime

    @property
    def space(self) -> tuple[str, str]:
        """What embeddings must share to be compared: the same support set, the same backbone."""
        return self.incarnation, self.fingerprint

    def check_reached(self, min_revision: int) -> None:
        """Raises RevisionNotReachedError where this is older than `min_revision`."""
        if self.revision < min_revision:
            raise RevisionNotReachedError(
                f"min_revision: support set {self.name!r} is at revision {self.revision}, "
                f"got {min_revision}"
            )


@dataclass(frozen=True)
class NewExemplar:
    """An exemplar that passed every check. `embedding_D` has unit length."""

    exemplar_id: str
    label: str
    embedding_D: NDArray[np.float32]
    image: bytes | None
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class Exemplar:
    """An exemplar as stored; `embedding_D` and `image` only where they were asked for."""

    exemplar_id: str
    label: str
    metadata: Mapping[str, str]
    revision: int
    has_image: bool
    embedding_D: NDArray[np.float32] | None


@dataclass(frozen=True)
class Listing:
    """Which exemplars to list: `count` with ids above `after`, of `label` unless it is empty."""

    after: str
    count: int
    label: str
    embeddings: bool


ItemT = TypeVar("ItemT")


@dataclass(frozen=True)
class Page(Generic[ItemT]):
    """Some items in order; `next_token` is empty on the last page."""

    items: list[ItemT]
    next_token: str


@dataclass(frozen=True)
class ItemResult:
    """What became of one item of a batch: an id, or why there is none."""

    exemplar_id: str = ""
    reason: str = ""
    message: str = ""

    @classmethod
    def failed(cls, error: ExemplarError) -> ItemResult:
        return cls(reason=error.reason, message=str(error))


@dataclass(frozen=True)
class Receipt:
    """How many of each a deletion deleted.

    Embeddings and images are with those that only snapshots kept; their exemplars were gone before.
    """

    support_sets: int = 0
    exemplars: int = 0
    embeddings: int = 0
    images: int = 0
    image_bytes: int = 0
    snapshots: int = 0
    answers: int = 0

    def __add__(self, other: Receipt) -> Receipt:
        return Receipt(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


NOTHING = Receipt()


@dataclass(frozen=True)
class Change:
    """The answer to a mutation: one item result an exemplar, in the order of the request."""

    revision: int
    exemplar_count: int
    items: tuple[ItemResult, ...] = ()
    receipt: Receipt = NOTHING


@dataclass(frozen=True)
class ExemplarUpdate:
    """What is to change of an exemplar; None stays as it is."""

    exemplar_id: str
    label: str | None
    metadata: Mapping[str, str] | None


@dataclass(frozen=True)
class SavedSnapshot:
    """A revision of a support set under a name: what it can be rolled back to."""

    name: str
    revision: int
    exemplar_count: int
    created: datetime


@dataclass(frozen=True)
class Hint:
    """Somebody committed `revision` of a support set, or ended it there."""

    incarnation: str
    revision: int


@dataclass(frozen=True)
class RequestKey:
    """Makes a retry harmless: the same key and digest get the first answer again.

    `digest` is over the whole request, so that another request under the same id is refused. An
    empty `request_id` never de-duplicates.
    """

    method: str
    request_id: str
    digest: bytes


@dataclass(frozen=True)
class Delta:
    """What happened to a support set after a revision: first `removed_ids` go, then rows come."""

    support_set: SupportSet
    removed_ids: frozenset[str]
    exemplar_ids: tuple[str, ...]
    labels: tuple[str, ...]
    embeddings_ND: NDArray[np.float32]


def new_exemplar_id() -> str:
    """A UUIDv7 (RFC 9562, section 5.7): ids made later sort later, to the millisecond."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76  # version 7
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant 10
    return str(uuid.UUID(int=value))
