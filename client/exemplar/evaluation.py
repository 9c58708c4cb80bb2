"""How good a support set is, as the server tells it from the support set's own exemplars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from exemplar.answers import Neighbor
from exemplar.calls import EVALUATE, Plan, send
from exemplar.enums import enum_name
from exemplar.inference_plans import head_number
from exemplar.memory import Memory
from exemplar.v1 import classification_pb2, evaluation_pb2


@dataclass(frozen=True)
class Accuracy:
    """A share in [0, 1] with its 95 % interval, measured on `exemplar_count` exemplars."""

    value: float
    low: float
    high: float
    exemplar_count: int


@dataclass(frozen=True)
class LabelEvaluation:
    """`recall` and `precision` are None where no exemplar tells them."""

    label: str
    exemplar_count: int
    recall: Accuracy | None
    precision: Accuracy | None


@dataclass(frozen=True)
class Confusion:
    """So many exemplars of `label` are answered with another one."""

    label: str
    answer: str
    exemplar_count: int


@dataclass(frozen=True)
class Suspect:
    """An exemplar that is likely mislabelled; the neighbors speak for the suggested label."""

    exemplar_id: str
    label: str
    suggested_label: str
    suspicion: float
    neighbors: tuple[Neighbor, ...]


@dataclass(frozen=True)
class Evaluation:
    """Every exemplar answered by the others. `accuracy` is None where no label has two exemplars.

    Confusions come the most frequent first, suspects the likeliest first.
    """

    revision: int
    head: str
    exemplar_count: int
    accuracy: Accuracy | None
    labels: tuple[LabelEvaluation, ...]
    confusions: tuple[Confusion, ...]
    suspects: tuple[Suspect, ...]

    @property
    def suggestions(self) -> Mapping[str, str]:
        """Suspects' ids and suggested labels, as MapResult.with_suspects takes them."""
        return {suspect.exemplar_id: suspect.suggested_label for suspect in self.suspects}


def evaluate(
    memory: Memory, support_set: str, head: str | None, k: int | None, min_revision: int | None
) -> Plan[Evaluation]:
    request = evaluation_pb2.EvaluateSupportSetRequest(
        support_set=support_set,
        head=head_number(head),
        k=k,
        min_revision=memory.wanted_revision(support_set, min_revision),
    )
    response = yield from send(EVALUATE, request)
    memory.saw(support_set, response.revision)
    return _evaluation(response)


def _evaluation(pb: evaluation_pb2.EvaluateSupportSetResponse) -> Evaluation:
    return Evaluation(
        revision=pb.revision,
        head=enum_name(classification_pb2.Head.DESCRIPTOR, pb.head, "HEAD_").lower(),
        exemplar_count=pb.exemplar_count,
        accuracy=_accuracy(pb.accuracy) if pb.HasField("accuracy") else None,
        labels=tuple(_label(label) for label in pb.labels),
        confusions=tuple(Confusion(c.label, c.answer, c.exemplar_count) for c in pb.confusions),
        suspects=tuple(_suspect(suspect) for suspect in pb.suspects),
    )


def _label(pb: evaluation_pb2.LabelEvaluation) -> LabelEvaluation:
    return LabelEvaluation(
        pb.label,
        pb.exemplar_count,
        _accuracy(pb.recall) if pb.HasField("recall") else None,
        _accuracy(pb.precision) if pb.HasField("precision") else None,
    )


def _accuracy(pb: evaluation_pb2.Accuracy) -> Accuracy:
    return Accuracy(pb.value, pb.low, pb.high, pb.exemplar_count)


def _suspect(pb: evaluation_pb2.Suspect) -> Suspect:
    neighbors = tuple(Neighbor(n.exemplar_id, n.label, n.similarity) for n in pb.neighbors)
    return Suspect(pb.exemplar_id, pb.label, pb.suggested_label, pb.suspicion, neighbors)
