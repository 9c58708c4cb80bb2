"""Puts the fake server on a free port."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc

from exemplar.v1 import (
    admin_pb2_grpc,
    classification_pb2_grpc,
    embedding_pb2_grpc,
    evaluation_pb2_grpc,
    map_pb2_grpc,
    support_set_pb2_grpc,
)
from unit.sdk_fake_server import FakeServer


@contextmanager
def serving(fake: FakeServer) -> Iterator[str]:
    """The address at which `fake` answers."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        server = grpc.server(pool)
        admin_pb2_grpc.add_ServerServiceServicer_to_server(fake, server)
        embedding_pb2_grpc.add_EmbeddingServiceServicer_to_server(fake, server)
        classification_pb2_grpc.add_ClassificationServiceServicer_to_server(fake, server)
        evaluation_pb2_grpc.add_EvaluationServiceServicer_to_server(fake, server)
        map_pb2_grpc.add_MapServiceServicer_to_server(fake, server)
        support_set_pb2_grpc.add_SupportSetServiceServicer_to_server(fake, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(grace=None).wait()
