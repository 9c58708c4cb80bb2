"""How good a support set is, as the server tells it from the support set's own exemplars."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from exemplar.answers import Neighbor
from exemplar.calls import EVALUATE, Plan, send
from exemplar.enums import enum_name
from exemplar.evaluation_page import render
from exemplar.inference_plans import head_number
from exemplar.memory import Memory
from exemplar.page import frame
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
    """`recall` and `precision` are None where no exemplar tells them.

    About `exemplars_needed` more would help, for the reason in `advice`; 0 and empty: none would.
    """

    label: str
    exemplar_count: int
    recall: Accuracy | None
    precision: Accuracy | None
    exemplars_needed: int = 0
    advice: str = ""


@dataclass(frozen=True)
class Confusion:
    """So many exemplars of `label` are answered with another one; ids of some, the surest first."""

    label: str
    answer: str
    exemplar_count: int
    exemplar_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suspect:
    """An exemplar that is likely mislabelled; the neighbors speak for the suggested label."""

    exemplar_id: str
    label: str
    suggested_label: str
    suspicion: float
    neighbors: tuple[Neighbor, ...]


@dataclass(frozen=True)
class Duplicate:
    """Two exemplars that are nearly the same image."""

    exemplar_id: str
    label: str
    other_exemplar_id: str
    other_label: str
    similarity: float

    @property
    def is_contradiction(self) -> bool:
        """Whether their labels differ: one of the two is wrong."""
        return self.label != self.other_label


@dataclass(frozen=True)
class Evaluation:
    """Every exemplar answered by the others. `accuracy` is None where no label has two exemplars.

    Confusions come the most frequent first, suspects the likeliest first, duplicates those across
    labels first and then the closest. `thumbnails` are JPEGs of at most 64 x 64 pixels by exemplar
    id, of those that the findings name and whose images are kept; only where asked for.
    """

    support_set: str
    revision: int
    fingerprint: str
    head: str
    exemplar_count: int
    accuracy: Accuracy | None
    labels: tuple[LabelEvaluation, ...]
    confusions: tuple[Confusion, ...]
    suspects: tuple[Suspect, ...]
    duplicates: tuple[Duplicate, ...] = ()
    thumbnails: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def suggestions(self) -> Mapping[str, str]:
        """Suspects' ids and suggested labels, as MapResult.with_suspects takes them."""
        return {suspect.exemplar_id: suspect.suggested_label for suspect in self.suspects}

    def save_html(self, path: str | os.PathLike[str]) -> None:
        """One page that needs no network; with images where thumbnails were asked for."""
        Path(path).write_text(self.to_html(), encoding="utf-8")

    def to_html(self) -> str:
        return render(self)

    def _repr_html_(self) -> str:
        """The page in a frame, for notebooks."""
        return frame(self.to_html())

    def to_dict(self) -> dict[str, Any]:
        """All but the thumbnails, as JSON can hold it."""
        told = asdict(replace(self, thumbnails={}))
        del told["thumbnails"]
        return told


@dataclass(frozen=True)
class EvaluateOptions:
    head: str | None
    k: int | None
    thumbnails: bool
    findings: int | None

    def request(
        self, support_set: str, min_revision: int
    ) -> evaluation_pb2.EvaluateSupportSetRequest:
        return evaluation_pb2.EvaluateSupportSetRequest(
            support_set=support_set,
            head=head_number(self.head),
            k=self.k,
            min_revision=min_revision,
            findings=self.findings or 0,
            include_thumbnails=self.thumbnails,
        )


def evaluate(
    memory: Memory, support_set: str, options: EvaluateOptions, min_revision: int | None
) -> Plan[Evaluation]:
    revision = memory.wanted_revision(support_set, min_revision)
    response = yield from send(EVALUATE, options.request(support_set, revision))
    memory.saw(support_set, response.revision)
    return _evaluation(support_set, response)


def _evaluation(support_set: str, pb: evaluation_pb2.EvaluateSupportSetResponse) -> Evaluation:
    return Evaluation(
        support_set=support_set,
        revision=pb.revision,
        fingerprint=pb.fingerprint,
        head=enum_name(classification_pb2.Head.DESCRIPTOR, pb.head, "HEAD_").lower(),
        exemplar_count=pb.exemplar_count,
        accuracy=_accuracy(pb.accuracy) if pb.HasField("accuracy") else None,
        labels=tuple(_label(label) for label in pb.labels),
        confusions=tuple(_confusion(confusion) for confusion in pb.confusions),
        suspects=tuple(_suspect(suspect) for suspect in pb.suspects),
        duplicates=tuple(_duplicate(duplicate) for duplicate in pb.duplicates),
        thumbnails=dict(pb.thumbnails),
    )


def _label(pb: evaluation_pb2.LabelEvaluation) -> LabelEvaluation:
    return LabelEvaluation(
        pb.label,
        pb.exemplar_count,
        _accuracy(pb.recall) if pb.HasField("recall") else None,
        _accuracy(pb.precision) if pb.HasField("precision") else None,
        pb.exemplars_needed,
        pb.advice,
    )


def _accuracy(pb: evaluation_pb2.Accuracy) -> Accuracy:
    return Accuracy(pb.value, pb.low, pb.high, pb.exemplar_count)


def _confusion(pb: evaluation_pb2.Confusion) -> Confusion:
    return Confusion(pb.label, pb.answer, pb.exemplar_count, tuple(pb.exemplar_ids))


def _suspect(pb: evaluation_pb2.Suspect) -> Suspect:
    neighbors = tuple(Neighbor(n.exemplar_id, n.label, n.similarity) for n in pb.neighbors)
    return Suspect(pb.exemplar_id, pb.label, pb.suggested_label, pb.suspicion, neighbors)


def _duplicate(pb: evaluation_pb2.Duplicate) -> Duplicate:
    return Duplicate(pb.exemplar_id, pb.label, pb.other_exemplar_id, pb.other_label, pb.similarity)
