"""Domain to protobuf for evaluations."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from exemplar.v1 import classification_pb2 as classification
from exemplar.v1 import evaluation_pb2 as pb
from exemplar_server.core.evaluation import wilson
from exemplar_server.edge.answers import HEADS

if TYPE_CHECKING:
    from exemplar_server.core.evaluation import Evaluation, Suspect
    from exemplar_server.core.exemplars import SupportSet


def response(
    support_set: SupportSet, evaluation: Evaluation, findings: int
) -> pb.EvaluateSupportSetResponse:
    asked_N = evaluation.answers_N >= 0
    right_N = evaluation.answers_N == evaluation.codes_N
    return pb.EvaluateSupportSetResponse(
        revision=support_set.revision,
        fingerprint=support_set.fingerprint,
        head=HEADS[evaluation.head],
        exemplar_count=len(evaluation.codes_N),
        accuracy=_accuracy(int(right_N.sum()), int(asked_N.sum())),
        labels=_labels(evaluation),
        confusions=_confusions(evaluation, findings),
        suspects=[_suspect(suspect) for suspect in evaluation.suspects],
    )


def _accuracy(right: int, count: int) -> pb.Accuracy | None:
    if not count:
        return None
    low, high = wilson(right, count)
    return pb.Accuracy(value=right / count, low=low, high=high, exemplar_count=count)


def _labels(evaluation: Evaluation) -> list[pb.LabelEvaluation]:
    asked_N = evaluation.answers_N >= 0
    right_N = evaluation.answers_N == evaluation.codes_N
    most = len(evaluation.names)
    total_L = np.bincount(evaluation.codes_N, minlength=most)
    asked_L = np.bincount(evaluation.codes_N[asked_N], minlength=most)
    answered_L = np.bincount(evaluation.answers_N[asked_N], minlength=most)
    right_L = np.bincount(evaluation.codes_N[right_N], minlength=most)
    return [
        pb.LabelEvaluation(
            label=label,
            exemplar_count=total_L[code],
            recall=_accuracy(int(right_L[code]), int(asked_L[code])),
            precision=_accuracy(int(right_L[code]), int(answered_L[code])),
        )
        for code, label in enumerate(evaluation.names)
    ]


def _confusions(evaluation: Evaluation, findings: int) -> list[pb.Confusion]:
    """The most frequent first, ties by label."""
    pairs = zip(evaluation.codes_N.tolist(), evaluation.answers_N.tolist(), strict=True)
    counts = Counter(pair for pair in pairs if pair[1] not in {-1, pair[0]})
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:findings]
    names = evaluation.names
    return [
        pb.Confusion(label=names[code], answer=names[answer], exemplar_count=count)
        for (code, answer), count in ordered
    ]


def _suspect(suspect: Suspect) -> pb.Suspect:
    return pb.Suspect(
        exemplar_id=suspect.exemplar_id,
        label=suspect.label,
        suggested_label=suspect.suggested_label,
        suspicion=suspect.suspicion,
        neighbors=[classification.Neighbor(**vars(n)) for n in suspect.neighbors],
    )
