"""Plain gRPC calls of a server process; without any retry unless a test wants it."""

from __future__ import annotations

from contextlib import contextmanager

import grpc

from exemplar.v1 import classification_pb2 as classification
from exemplar.v1 import classification_pb2_grpc, map_pb2_grpc, support_set_pb2_grpc
from exemplar.v1 import support_set_pb2 as sets
from pictures import png
from server_process import PATIENCE_SECONDS, Server

OPTIONS = (("grpc.enable_retries", 0),)
QUERIES = 8


@contextmanager
def calling(address, options=OPTIONS):
    with grpc.insecure_channel(address, options) as channel:
        yield Calls(address, channel)


@contextmanager
def serving(backbone, store, **settings):
    """A server process on `store` and calls of it."""
    server = Server(backbone, store, **settings)
    try:
        with calling(server.address()) as calls:
            yield server, calls
    finally:
        server.kill()


class Calls:
    """Calls over one channel; any thread may make them. Patience is for histories of calls."""

    def __init__(self, address, channel, patience_seconds=PATIENCE_SECONDS):
        self.patience_seconds = patience_seconds
        self.address = address
        self.sets = support_set_pb2_grpc.SupportSetServiceStub(channel)
        self.classification = classification_pb2_grpc.ClassificationServiceStub(channel)
        self.maps = map_pb2_grpc.MapServiceStub(channel)

    def create(self, name):
        self.sets.CreateSupportSet(sets.CreateSupportSetRequest(name=name))

    def change(self, request):
        is_addition = isinstance(request, sets.AddExemplarsRequest)
        method = self.sets.AddExemplars if is_addition else self.sets.RemoveExemplars
        return method(request, timeout=PATIENCE_SECONDS)

    def describe(self, name):
        return self.sets.GetSupportSet(sets.GetSupportSetRequest(name=name)).support_set

    def ids(self, name):
        request = sets.ListExemplarsRequest(support_set=name, page_size=1000)
        return {e.exemplar_id for e in self.sets.ListExemplars(request).exemplars}

    def answers(self, name):
        return self.classification.Classify(questions(name)).answers


def addition(name, ids, label="", request_id=""):
    """Adds pictures, one an id, each unlike the others."""
    new = [
        sets.NewExemplar(label=label or i[:1], image=png(sum(i.encode())), exemplar_id=i)
        for i in ids
    ]
    return sets.AddExemplarsRequest(support_set=name, exemplars=new, request_id=request_id)


def removal(name, ids, request_id=""):
    return sets.RemoveExemplarsRequest(support_set=name, exemplar_ids=ids, request_id=request_id)


def questions(name):
    queries = [classification.Query(image=png(1_000_000 + n)) for n in range(QUERIES)]
    return classification.ClassifyRequest(support_set=name, queries=queries, include_neighbors=True)
