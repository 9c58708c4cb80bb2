"""Domain to protobuf for evaluations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar.v1 import evaluation_pb2 as pb
from exemplar_server.edge import answers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exemplar_server.core.evaluation import Evaluation, LabelEvaluation, Suspect
    from exemplar_server.core.intervals import Accuracy


def response(
    evaluation: Evaluation, thumbnails: Mapping[str, bytes]
) -> pb.EvaluateSupportSetResponse:
    support_set = evaluation.support_set
    return pb.EvaluateSupportSetResponse(
        revision=support_set.revision,
        fingerprint=support_set.fingerprint,
        head=answers.HEADS[evaluation.head],
        exemplar_count=support_set.exemplar_count,
        accuracy=_accuracy(evaluation.accuracy),
        labels=[_label(label) for label in evaluation.labels],
        confusions=[pb.Confusion(**vars(confusion)) for confusion in evaluation.confusions],
        suspects=[_suspect(suspect) for suspect in evaluation.suspects],
        duplicates=[pb.Duplicate(**vars(pair)) for pair in evaluation.duplicates],
        thumbnails=thumbnails,
    )


def _accuracy(value: Accuracy | None) -> pb.Accuracy | None:
    return None if value is None else pb.Accuracy(**vars(value))


def _label(value: LabelEvaluation) -> pb.LabelEvaluation:
    return pb.LabelEvaluation(
        label=value.label,
        exemplar_count=value.exemplar_count,
        recall=_accuracy(value.recall),
        precision=_accuracy(value.precision),
        exemplars_needed=value.exemplars_needed,
        advice=value.advice,
    )


def _suspect(value: Suspect) -> pb.Suspect:
    return pb.Suspect(
        exemplar_id=value.exemplar_id,
        label=value.label,
        suggested_label=value.suggested_label,
        suspicion=value.suspicion,
        neighbors=[answers.neighbor(near) for near in value.neighbors],
    )
