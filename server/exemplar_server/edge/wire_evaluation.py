"""Protobuf to domain for evaluations: every check of their requests' fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exemplar_server.edge import wire
from exemplar_server.edge.checks import check_range

if TYPE_CHECKING:
    from exemplar.v1 import evaluation_pb2 as pb
    from exemplar_server.core.limits import Limits

MAX_FINDINGS = 1000
DEFAULT_FINDINGS = 100
# Of up to 4.5 KB each (noise; photos have 2): half of a message.
MAX_THUMBNAILS = 2000


@dataclass(frozen=True)
class EvaluationOptions:
    """`findings` is the most of each kind, `thumbnails` the most of all."""

    head: str
    k: int
    findings: int
    thumbnails: int


def options(request: pb.EvaluateSupportSetRequest, limits: Limits) -> EvaluationOptions:
    head, k = wire.head_and_k(request, limits)
    findings = request.findings or DEFAULT_FINDINGS
    check_range("findings", findings, 1, MAX_FINDINGS)
    thumbnails = MAX_THUMBNAILS if request.include_thumbnails else 0
    return EvaluationOptions(head, k, findings, thumbnails)
