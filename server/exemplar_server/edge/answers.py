"""Domain to protobuf."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar.v1 import admin_pb2 as admin
from exemplar.v1 import classification_pb2 as classification
from exemplar.v1 import embedding_pb2 as embedding
from exemplar.v1 import support_set_pb2 as support_set
from exemplar_server.core import heads
from exemplar_server.edge import status
from exemplar_server.errors import ExemplarError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from exemplar_server.core.classify import Answer, Answers
    from exemplar_server.core.embedder import Backbone, Embeddings, Timings
    from exemplar_server.core.exemplars import Change, Exemplar, ItemResult, Page, SupportSet
    from exemplar_server.core.limits import Limits
    from exemplar_server.core.snapshot import Neighbor
    from exemplar_server.core.support_sets import Added, Classified, Listed

HEADS = {
    heads.KNN: classification.HEAD_KNN,
    heads.PROTOTYPE: classification.HEAD_PROTOTYPE,
    heads.RIDGE: classification.HEAD_RIDGE,
}


def embed_response(embedded: Embeddings, fingerprint: str) -> embedding.EmbedResponse:
    return embedding.EmbedResponse(
        results=[
            embedding.EmbedResult(error=item_error(item, f"images[{number}]: "))
            if isinstance(item, ExemplarError)
            else embedding.EmbedResult(embedding=_embedding(item, fingerprint))
            for number, item in enumerate(embedded.items)
        ],
        fingerprint=fingerprint,
        timings=_timings(embedded.timings),
    )


def backbone(ready: Backbone) -> embedding.Backbone:
    manifest = ready.manifest
    return embedding.Backbone(
        name=manifest.name,
        version=manifest.version,
        fingerprint=manifest.fingerprint,
        dim=manifest.dim,
        input_size=manifest.input_size,
        preprocessing_id=manifest.preprocessing_id,
        execution_provider=ready.execution_provider,
        license=manifest.license,
        accuracy=manifest.accuracy,
    )


def limits(value: Limits) -> admin.Limits:
    return admin.Limits(**vars(value))


def described(value: SupportSet, label_counts: Mapping[str, int]) -> support_set.SupportSet:
    message = support_set.SupportSet(
        name=value.name,
        revision=value.revision,
        fingerprint=value.fingerprint,
        backbone=value.backbone,
        dim=value.dim,
        exemplar_count=value.exemplar_count,
        keep_images=value.keep_images,
        labels=[
            support_set.LabelCount(label=label, exemplar_count=count)
            for label, count in label_counts.items()
        ],
    )
    message.create_time.FromDatetime(value.created)
    return message


def add_response(added: Added) -> support_set.AddExemplarsResponse:
    return support_set.AddExemplarsResponse(
        results=[
            support_set.AddExemplarResult(error=item_result_error(item))
            if item.reason
            else support_set.AddExemplarResult(exemplar_id=item.exemplar_id)
            for item in added.change.items
        ],
        revision=added.change.revision,
        fingerprint=added.fingerprint,
        exemplar_count=added.change.exemplar_count,
        timings=_timings(added.timings),
    )


def remove_response(change: Change) -> support_set.RemoveExemplarsResponse:
    return support_set.RemoveExemplarsResponse(
        results=[
            support_set.RemoveExemplarResult(error=item_result_error(item))
            if item.reason
            else support_set.RemoveExemplarResult(exemplar_id=item.exemplar_id)
            for item in change.items
        ],
        revision=change.revision,
        exemplar_count=change.exemplar_count,
    )


def _exemplar(
    value: Exemplar, fingerprint: str, thumbnails: Mapping[str, bytes]
) -> support_set.Exemplar:
    message = support_set.Exemplar(
        exemplar_id=value.exemplar_id,
        label=value.label,
        metadata=value.metadata,
        revision=value.revision,
        has_image=value.has_image,
        thumbnail=thumbnails.get(value.exemplar_id, b""),
    )
    if value.embedding_D is not None:
        message.embedding.CopyFrom(_embedding(value.embedding_D, fingerprint))
    return message


def exemplars_response(listed: Listed) -> support_set.ListExemplarsResponse:
    return support_set.ListExemplarsResponse(
        exemplars=[
            _exemplar(item, listed.support_set.fingerprint, listed.thumbnails)
            for item in listed.page.items
        ],
        next_page_token=listed.page.next_token,
        revision=listed.support_set.revision,
    )


def support_sets_response(page: Page[SupportSet]) -> support_set.ListSupportSetsResponse:
    return support_set.ListSupportSetsResponse(
        support_sets=[described(item, {}) for item in page.items],
        next_page_token=page.next_token,
    )


def classify_response(classified: Classified) -> classification.ClassifyResponse:
    return classification.ClassifyResponse(
        answers=[_answer(answer) for answer in classified.answers],
        revision=classified.support_set.revision,
        fingerprint=classified.support_set.fingerprint,
        head=HEADS[classified.found.calibration.head],
        timings=_timings(classified.timings),
        calibration=_calibration(classified.found),
        approximate=classified.found.is_approximate,
    )


def item_error(error: ExemplarError, path: str = "") -> embedding.ItemError:
    return embedding.ItemError(
        reason=_reason(status.reason_of(error)), message=path + status.message_of(error)
    )


def item_result_error(item: ItemResult) -> embedding.ItemError:
    return embedding.ItemError(reason=_reason(item.reason), message=item.message)


def _reason(reason: str) -> embedding.ErrorReason.ValueType:
    return embedding.ErrorReason.Value(f"ERROR_REASON_{reason}")


def _embedding(values_D: NDArray[np.float32], fingerprint: str) -> embedding.Embedding:
    values = values_D.astype("<f4", copy=False).tobytes()
    return embedding.Embedding(values=values, dim=len(values_D), fingerprint=fingerprint)


def _timings(value: Timings) -> embedding.Timings:
    return embedding.Timings(**vars(value))


def _answer(answer: Answer | ExemplarError) -> classification.Answer:
    if isinstance(answer, ExemplarError):
        return classification.Answer(error=item_error(answer))
    best = answer.scores[0]
    return classification.Answer(
        verdict=classification.VERDICT_UNKNOWN
        if answer.is_unknown
        else classification.VERDICT_LABEL,
        label=best.label,
        score=best.score,
        scores=[classification.LabelScore(**vars(item)) for item in answer.scores],
        neighbors=[neighbor(near) for near in answer.neighbors],
        probability=best.probability,
        similarity=answer.similarity,
        familiarity=answer.familiarity or 0.0,
        margin=answer.margin,
        label_set=answer.label_set,
    )


def neighbor(value: Neighbor) -> classification.Neighbor:
    return classification.Neighbor(**value._asdict())


def _calibration(found: Answers) -> classification.Calibration:
    known, verdicts = found.calibration, found.verdicts
    return classification.Calibration(
        accuracy=known.accuracy,
        threshold=None if verdicts is None else verdicts.threshold,
        true_accept_rate=None if verdicts is None else verdicts.true_accept_rate,
        note=known.note,
    )
