"""The fake server's evaluations: every exemplar is answered by the nearest other one."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

from exemplar.v1 import classification_pb2, evaluation_pb2, evaluation_pb2_grpc
from unit.sdk_fake_vectors import FINGERPRINT, cosine

# The same bytes; anything else in the fake's vectors is further apart.
ALIKE = 0.99999


class FakeEvaluations(evaluation_pb2_grpc.EvaluationServiceServicer):
    """A part of FakeServer."""

    def EvaluateSupportSet(self, request, context):
        self._enter(request, context)
        found = self._find(request.support_set, context)
        exemplars = list(found.exemplars.values())
        nearest = {e.exemplar_id: _nearest(e, exemplars) for e in exemplars}
        wrong = [e for e in exemplars if _is_wrong(e, nearest)]
        most = request.findings or 100
        response = evaluation_pb2.EvaluateSupportSetResponse(
            revision=found.revision,
            fingerprint=FINGERPRINT,
            head=request.head or classification_pb2.HEAD_KNN,
            exemplar_count=len(exemplars),
            accuracy=_accuracy(len(exemplars) - len(wrong), len(exemplars)),
            labels=_labels(exemplars, nearest),
            confusions=_confusions(wrong, nearest)[:most],
            suspects=[_suspect(e, nearest[e.exemplar_id]) for e in wrong][:most],
            duplicates=_duplicates(exemplars)[:most],
        )
        if request.include_thumbnails and found.keep_images:
            for exemplar in exemplars:
                response.thumbnails[exemplar.exemplar_id] = b"\xff\xd8" + exemplar.label.encode()
        return response


def _nearest(exemplar, exemplars):
    others = [other for other in exemplars if other is not exemplar] or [exemplar]
    return max(others, key=lambda other: _similarity(exemplar, other))


def _similarity(one, other):
    return cosine(one.embedding.values, other.embedding.values)


def _is_wrong(exemplar, nearest):
    return nearest[exemplar.exemplar_id].label != exemplar.label


def _accuracy(right, count):
    share = right / count
    return evaluation_pb2.Accuracy(value=share, low=share / 2, high=1.0, exemplar_count=count)


def _labels(exemplars, nearest):
    """A label of one exemplar has no recall and needs another."""
    made = []
    for label in sorted({e.label for e in exemplars}):
        own = [e for e in exemplars if e.label == label]
        told = evaluation_pb2.LabelEvaluation(label=label, exemplar_count=len(own))
        if len(own) > 1:
            right = sum(not _is_wrong(e, nearest) for e in own)
            told.recall.CopyFrom(_accuracy(right, len(own)))
        else:
            told.exemplars_needed, told.advice = 1, "it has 1 exemplar"
        made.append(told)
    return made


def _confusions(wrong, nearest):
    pairs = Counter((e.label, nearest[e.exemplar_id].label) for e in wrong)
    return [
        evaluation_pb2.Confusion(
            label=label,
            answer=answer,
            exemplar_count=count,
            exemplar_ids=[
                e.exemplar_id
                for e in wrong
                if (e.label, nearest[e.exemplar_id].label) == (label, answer)
            ],
        )
        for (label, answer), count in pairs.most_common()
    ]


def _suspect(exemplar, nearest):
    neighbor = classification_pb2.Neighbor(
        exemplar_id=nearest.exemplar_id,
        label=nearest.label,
        similarity=_similarity(exemplar, nearest),
    )
    return evaluation_pb2.Suspect(
        exemplar_id=exemplar.exemplar_id,
        label=exemplar.label,
        suggested_label=nearest.label,
        suspicion=0.5,
        neighbors=[neighbor],
    )


def _duplicates(exemplars):
    return [
        evaluation_pb2.Duplicate(
            exemplar_id=one.exemplar_id,
            label=one.label,
            other_exemplar_id=other.exemplar_id,
            other_label=other.label,
            similarity=_similarity(one, other),
        )
        for one, other in combinations(exemplars, 2)
        if _similarity(one, other) > ALIKE
    ]
