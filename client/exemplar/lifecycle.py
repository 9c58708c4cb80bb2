"""What can be asked of support sets after they were filled, and what comes back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from exemplar.embedding import ItemError
from exemplar.v1 import support_set_pb2


@dataclass(frozen=True)
class ExemplarUpdate:
    """What is to change of an exemplar; None stays as it is, `metadata` takes the place of all."""

    exemplar_id: str
    label: str | None = None
    metadata: Mapping[str, str] | None = None


# Updates, or new labels by exemplar id: what Evaluation.suggestions has.
Updates = Iterable[ExemplarUpdate] | Mapping[str, str]


@dataclass(frozen=True)
class UpdateResult:
    """`errors` is keyed by the position of the update that was not made."""

    revision: int
    errors: dict[int, ItemError]
    exemplar_count: int


@dataclass(frozen=True)
class ImagesResult:
    """What UpdateSupportSet came to. Deleted images are with those that only snapshots kept."""

    revision: int
    deleted_images: int
    deleted_image_bytes: int


@dataclass(frozen=True)
class CopyResult:
    """The new support set's."""

    revision: int
    exemplar_count: int


@dataclass(frozen=True)
class Snapshot:
    """A revision of a support set under a name."""

    name: str
    revision: int
    exemplar_count: int
    create_time: datetime


@dataclass(frozen=True)
class SnapshotResult:
    """What a new snapshot shows."""

    revision: int
    exemplar_count: int


@dataclass(frozen=True)
class RollBackResult:
    """The support set's new revision, and how many exemplars it has now."""

    revision: int
    exemplar_count: int


@dataclass(frozen=True)
class WarmUpResult:
    """`index_bytes` of memory are taken on the server, until they are not used for long."""

    revision: int
    index_bytes: int
    warm_up_ms: float


@dataclass(frozen=True)
class DeletionReceipt:
    """How many of each were deleted, for good.

    Embeddings and images are with those that only snapshots kept, answers those kept for retries.
    """

    support_sets: int
    exemplars: int
    embeddings: int
    images: int
    image_bytes: int
    snapshots: int
    answers: int


def snapshot_from_pb(pb: support_set_pb2.Snapshot) -> Snapshot:
    created = pb.create_time.ToDatetime(tzinfo=UTC)
    return Snapshot(pb.name, pb.revision, pb.exemplar_count, created)


def receipt_from_pb(pb: support_set_pb2.DeletionReceipt) -> DeletionReceipt:
    return DeletionReceipt(
        support_sets=pb.support_sets,
        exemplars=pb.exemplars,
        embeddings=pb.embeddings,
        images=pb.images,
        image_bytes=pb.image_bytes,
        snapshots=pb.snapshots,
        answers=pb.answers,
    )
