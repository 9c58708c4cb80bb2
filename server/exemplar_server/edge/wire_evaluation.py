"""Protobuf to domain for evaluations: every check of their requests' fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exemplar.v1 import classification_pb2 as classification
from exemplar_server.core import heads
from exemplar_server.edge.checks import check_range
from exemplar_server.edge.wire import HEADS
from exemplar_server.errors import InvalidInputError

if TYPE_CHECKING:
    from exemplar.v1 import evaluation_pb2 as pb
    from exemplar_server.core.limits import Limits

MAX_FINDINGS = 1000
DEFAULT_FINDINGS = 100


@dataclass(frozen=True)
class EvaluationOptions:
    """`findings` is the most of each kind."""

    head: str
    k: int
    findings: int


def options(request: pb.EvaluateSupportSetRequest, limits: Limits) -> EvaluationOptions:
    k = request.k if request.HasField("k") else heads.DEFAULT_K
    check_range("k", k, 1, limits.neighbors)
    findings = request.findings or DEFAULT_FINDINGS
    check_range("findings", findings, 1, MAX_FINDINGS)
    if request.head not in HEADS:
        known = ", ".join(classification.Head.Name(number) for number in HEADS)
        raise InvalidInputError(f"head: expected one of {known}, got {request.head}")
    return EvaluationOptions(HEADS[request.head], k, findings)
