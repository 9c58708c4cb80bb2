"""Domain to protobuf for maps."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from exemplar.v1 import map_pb2 as pb
from exemplar_server.core.maps import MapFrame, MapSummary
from exemplar_server.edge import answers
from exemplar_server.errors import ExemplarError

if TYPE_CHECKING:
    from exemplar_server.core.map_placing import Place, Placed
    from exemplar_server.core.maps import MapEvent, MapPoint


def exemplars_event(event: MapEvent) -> pb.ComputeMapResponse:
    return pb.ComputeMapResponse(**_event(event))


def items_event(event: MapEvent) -> pb.ComputeMapOfItemsResponse:
    return pb.ComputeMapOfItemsResponse(**_event(event))


def _event(event: MapEvent) -> dict[str, Any]:
    """The one field that both kinds of answers have for it."""
    if isinstance(event, MapFrame):
        return {"progress": _progress(event)}
    if isinstance(event, MapSummary):
        return {"summary": _summary(event)}
    return {"points": _points(event)}


def place_response(placed: Placed) -> pb.PlaceOnMapResponse:
    return pb.PlaceOnMapResponse(
        results=[_place_result(item) for item in placed.places], revision=placed.revision
    )


def _place_result(item: Place | ExemplarError) -> pb.PlaceOnMapResult:
    if isinstance(item, ExemplarError):
        return pb.PlaceOnMapResult(error=answers.item_error(item))
    x, y = item
    return pb.PlaceOnMapResult(position=pb.MapPosition(x=x, y=y))


def _progress(frame: MapFrame) -> pb.MapProgress:
    return pb.MapProgress(
        phase=pb.MapPhase.Value(f"MAP_PHASE_{frame.phase}"),
        iteration=frame.iteration,
        total_iterations=frame.total_iterations,
        kl_divergence=frame.kl_divergence,
    )


def _points(points: list[MapPoint]) -> pb.MapPoints:
    return pb.MapPoints(points=[pb.MapPoint(**vars(point)) for point in points])


def _summary(summary: MapSummary) -> pb.MapSummary:
    layout = summary.layout
    message = pb.MapSummary(
        revision=summary.revision,
        fingerprint=summary.fingerprint,
        point_count=len(layout.points_N2),
        perplexity=layout.perplexity,
        kl_divergence=layout.kl_divergence,
    )
    if layout.quality is not None:
        message.MergeFrom(pb.MapSummary(**asdict(layout.quality)))  # None stays absent
    return message
