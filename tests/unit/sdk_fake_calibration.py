"""How sure the fake server is: as sure as the nearest exemplar is similar."""

from __future__ import annotations

from exemplar.v1 import classification_pb2

# Between images of one kind and of different kinds in the fake's vectors.
THRESHOLD = 0.9


def calibration(request):
    made = classification_pb2.Calibration(note="calibrated on few exemplars")
    if request.HasField("false_accept_rate"):
        made.threshold, made.true_accept_rate = THRESHOLD, 0.75
    return made


def judged(answer, request):
    """The answer with all that its request asked for."""
    if answer.HasField("error"):
        return answer
    answer.probability = answer.familiarity = max(answer.similarity, 0.0)
    if request.HasField("false_accept_rate") and answer.familiarity < THRESHOLD:
        answer.verdict = classification_pb2.VERDICT_UNKNOWN
    if request.HasField("coverage"):
        answer.label_set.extend(dict.fromkeys(n.label for n in answer.neighbors))
    return answer
