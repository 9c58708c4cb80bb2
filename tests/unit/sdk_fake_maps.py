"""The fake server's maps: points on a diagonal; a query is placed on its first byte."""

from __future__ import annotations

import grpc

from exemplar.v1 import map_pb2, map_pb2_grpc
from unit.sdk_fake_vectors import FINGERPRINT, undecodable


class FakeMaps(map_pb2_grpc.MapServiceServicer):
    """A part of FakeServer."""

    def ComputeMap(self, request, context):
        self._enter(request, context)
        found = self._find(request.support_set, context)
        for iteration in (0, 50):
            yield map_pb2.ComputeMapResponse(progress=_progress(iteration))
        named = [(key, exemplar.label) for key, exemplar in found.exemplars.items()]
        yield map_pb2.ComputeMapResponse(points=_points(named))
        yield map_pb2.ComputeMapResponse(summary=_summary(len(named), found.revision))

    def ComputeMapOfItems(self, requests, context):
        named = []
        for request in requests:
            self._enter(request, context)
            if request.WhichOneof("part") is None:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "items: expected, got none")
            named += [(item.id, item.label) for item in request.items.items]
        yield map_pb2.ComputeMapOfItemsResponse(progress=_progress(50))
        yield map_pb2.ComputeMapOfItemsResponse(points=_points(named))
        yield map_pb2.ComputeMapOfItemsResponse(summary=_summary(len(named), 0))

    def PlaceOnMap(self, request, context):
        self._enter(request, context)
        found = self._find(request.support_set, context)
        results = [_place(number, query) for number, query in enumerate(request.queries)]
        return map_pb2.PlaceOnMapResponse(results=results, revision=found.revision)


def _progress(iteration):
    return map_pb2.MapProgress(
        phase=map_pb2.MAP_PHASE_OPTIMIZATION, iteration=iteration, total_iterations=50
    )


def _points(named):
    points = [
        map_pb2.MapPoint(exemplar_id=key, label=label, x=float(i), y=float(-i))
        for i, (key, label) in enumerate(named)
    ]
    return map_pb2.MapPoints(points=points)


def _summary(count, revision):
    return map_pb2.MapSummary(
        revision=revision,
        fingerprint=FINGERPRINT,
        point_count=count,
        perplexity=5.0,
        kl_divergence=0.5,
        trustworthiness=0.75,
    )


def _place(number, query):
    if query.image.startswith(b"bad"):
        return map_pb2.PlaceOnMapResult(error=undecodable(f"queries[{number}]"))
    return map_pb2.PlaceOnMapResult(position=map_pb2.MapPosition(x=float(query.image[0]), y=1.0))
