"""What the server answers, as frozen dataclasses, and how they are read from its messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from exemplar.embedding import Embedding, ItemError, embedding_from_pb, item_error_from_pb
from exemplar.enums import enum_name
from exemplar.lifecycle import DeletionReceipt
from exemplar.v1 import admin_pb2, classification_pb2, embedding_pb2, support_set_pb2


@dataclass(frozen=True)
class LabelScore:
    label: str
    score: float
    probability: float | None = None


@dataclass(frozen=True)
class Neighbor:
    exemplar_id: str
    label: str
    similarity: float


@dataclass(frozen=True)
class Timings:
    """Where the time of the request went that carried this query."""

    queue_ms: float
    decode_ms: float
    infer_ms: float
    search_ms: float


@dataclass(frozen=True)
class Calibration:
    """What answers rest on, from the support set's own exemplars, each left out in its turn.

    Attributes:
        accuracy: share of them that the others answer right.
        threshold: queries less familiar are unknown; only with a `false_accept_rate`.
        true_accept_rate: estimated share of the labels' own queries that are as familiar.
        note: what is None, and why.
    """

    accuracy: float | None
    threshold: float | None
    true_accept_rate: float | None
    note: str


@dataclass(frozen=True)
class Answer:
    """What one query is. Where `error` is set, the rest says nothing.

    Attributes:
        label: the best label; the least bad one where `is_unknown`.
        score: the best label's share, in [0, 1]. Not a probability.
        scores: every label that got a share, best first.
        neighbors: the k nearest exemplars, nearest first.
        similarity: cosine of the nearest exemplar or prototype, in [-1, 1].
        probability: the calibrated score; None where none was calibrated.
        is_unknown: whether the query belongs to none of the labels.
        familiarity: how much the query is like what the support set knows; only with a
            `false_accept_rate`.
        margin: the best label's probability minus the second's (of scores, without probabilities).
        label_set: the labels that hold the right one for the `coverage` asked for, best first.
        head: what answered, such as "knn".
        is_approximate: whether neighbors were found approximately, as the support set is large.
        revision: the support set's revision that the answer comes from.
    """

    label: str = ""
    score: float = 0.0
    scores: tuple[LabelScore, ...] = ()
    neighbors: tuple[Neighbor, ...] = ()
    similarity: float = 0.0
    probability: float | None = None
    is_unknown: bool = False
    familiarity: float = 0.0
    margin: float = 0.0
    label_set: tuple[str, ...] = ()
    head: str = ""
    is_approximate: bool = False
    revision: int = 0
    timings: Timings | None = None
    calibration: Calibration | None = None
    error: ItemError | None = None


@dataclass(frozen=True)
class SupportSet:
    """`labels` maps each label to its number of exemplars; empty in listings."""

    name: str
    revision: int
    fingerprint: str
    backbone: str
    dim: int
    exemplar_count: int
    labels: Mapping[str, int]
    keep_images: bool
    create_time: datetime


@dataclass(frozen=True)
class Exemplar:
    """`embedding` and `thumbnail` (a JPEG) only where asked for."""

    exemplar_id: str
    label: str
    metadata: Mapping[str, str]
    revision: int
    has_image: bool
    embedding: Embedding | None
    thumbnail: bytes


@dataclass(frozen=True)
class AddResult:
    """One id (or None and an error, keyed by position) an exemplar, in the caller's order.

    `revision` and `exemplar_count` are the support set's after the last request.
    """

    revision: int
    exemplar_ids: list[str | None]
    errors: dict[int, ItemError]
    exemplar_count: int


@dataclass(frozen=True)
class RemoveResult:
    """`errors` is keyed by the position of the id that was not removed."""

    revision: int
    errors: dict[int, ItemError]
    exemplar_count: int


@dataclass(frozen=True)
class DeleteResult:
    deleted_exemplar_count: int
    revision: int
    receipt: DeletionReceipt


@dataclass(frozen=True)
class Backbone:
    name: str
    version: str
    fingerprint: str
    dim: int
    input_size: int
    preprocessing_id: str
    execution_provider: str
    license: str
    accuracy: Mapping[str, float]


@dataclass(frozen=True)
class Limits:
    """The numbers that bound one request."""

    message_bytes: int
    image_bytes: int
    image_pixels: int
    images_per_request: int
    neighbors: int
    label_characters: int
    metadata_bytes: int
    map_points: int
    snapshots: int


@dataclass(frozen=True)
class ServerInfo:
    version: str
    limits: Limits
    backbones: tuple[Backbone, ...]
    execution_provider: str
    tenant: str
    store_epoch: str


def answers_from_pb(pb: classification_pb2.ClassifyResponse) -> list[Answer]:
    head = enum_name(classification_pb2.Head.DESCRIPTOR, pb.head, "HEAD_").lower()
    timings = Timings(
        pb.timings.queue_ms, pb.timings.decode_ms, pb.timings.infer_ms, pb.timings.search_ms
    )
    shared = Answer(
        head=head,
        is_approximate=pb.approximate,
        revision=pb.revision,
        timings=timings,
        calibration=_calibration(pb.calibration) if pb.HasField("calibration") else None,
    )
    return [_answer(answer, shared) for answer in pb.answers]


def _calibration(pb: classification_pb2.Calibration) -> Calibration:
    return Calibration(
        pb.accuracy if pb.HasField("accuracy") else None,
        pb.threshold if pb.HasField("threshold") else None,
        pb.true_accept_rate if pb.HasField("true_accept_rate") else None,
        pb.note,
    )


def _answer(pb: classification_pb2.Answer, shared: Answer) -> Answer:
    """`shared`: what all answers of one response have in common."""
    if pb.HasField("error"):
        return Answer(error=item_error_from_pb(pb.error))
    return replace(
        shared,
        label=pb.label,
        score=pb.score,
        scores=tuple(_label_score(score) for score in pb.scores),
        neighbors=tuple(Neighbor(n.exemplar_id, n.label, n.similarity) for n in pb.neighbors),
        similarity=pb.similarity,
        probability=pb.probability if pb.HasField("probability") else None,
        is_unknown=pb.verdict == classification_pb2.VERDICT_UNKNOWN,
        familiarity=pb.familiarity,
        margin=pb.margin,
        label_set=tuple(pb.label_set),
    )


def _label_score(pb: classification_pb2.LabelScore) -> LabelScore:
    return LabelScore(pb.label, pb.score, pb.probability if pb.HasField("probability") else None)


def support_set_from_pb(pb: support_set_pb2.SupportSet) -> SupportSet:
    return SupportSet(
        name=pb.name,
        revision=pb.revision,
        fingerprint=pb.fingerprint,
        backbone=pb.backbone,
        dim=pb.dim,
        exemplar_count=pb.exemplar_count,
        labels={entry.label: entry.exemplar_count for entry in pb.labels},
        keep_images=pb.keep_images,
        create_time=pb.create_time.ToDatetime(tzinfo=UTC),
    )


def exemplar_from_pb(pb: support_set_pb2.Exemplar) -> Exemplar:
    return Exemplar(
        exemplar_id=pb.exemplar_id,
        label=pb.label,
        metadata=dict(pb.metadata),
        revision=pb.revision,
        has_image=pb.has_image,
        embedding=embedding_from_pb(pb.embedding) if pb.HasField("embedding") else None,
        thumbnail=pb.thumbnail,
    )


def backbone_from_pb(pb: embedding_pb2.Backbone) -> Backbone:
    return Backbone(
        name=pb.name,
        version=pb.version,
        fingerprint=pb.fingerprint,
        dim=pb.dim,
        input_size=pb.input_size,
        preprocessing_id=pb.preprocessing_id,
        execution_provider=pb.execution_provider,
        license=pb.license,
        accuracy=dict(pb.accuracy),
    )


def server_info_from_pb(pb: admin_pb2.GetServerInfoResponse) -> ServerInfo:
    return ServerInfo(
        version=pb.version,
        limits=limits_from_pb(pb.limits),
        backbones=tuple(backbone_from_pb(backbone) for backbone in pb.backbones),
        execution_provider=pb.execution_provider,
        tenant=pb.tenant,
        store_epoch=pb.store_epoch,
    )


def limits_from_pb(pb: admin_pb2.Limits) -> Limits:
    return Limits(
        message_bytes=pb.message_bytes,
        image_bytes=pb.image_bytes,
        image_pixels=pb.image_pixels,
        images_per_request=pb.images_per_request,
        neighbors=pb.neighbors,
        label_characters=pb.label_characters,
        metadata_bytes=pb.metadata_bytes,
        map_points=pb.map_points,
        snapshots=pb.snapshots,
    )
