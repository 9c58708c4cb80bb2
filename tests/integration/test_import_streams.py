"""Imports over gRPC as other clients may speak it: what is refused of a stream."""

import hashlib

import grpc
import pytest

from exemplar.v1 import transfer_pb2, transfer_pb2_grpc


def options(data=b"", **changed):
    facts = {"name": "new", "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return transfer_pb2.ImportSupportSetRequest(
        options=transfer_pb2.ImportOptions(**(facts | changed))
    )


def chunk(data):
    return transfer_pb2.ImportSupportSetRequest(chunk=data)


NOTHING = transfer_pb2.ImportSupportSetRequest()


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ([], "options: expected in the first request, got none"),
        ([chunk(b"x")], "options: expected in the first request, got chunk"),
        ([options(name="a/b")], "name: expected"),
        ([options(sha256="x")], "sha256: expected 64"),
        ([options(b"abc"), options(b"abc")], "chunk: expected in every request but the first"),
        ([options(b"abc"), NOTHING], "chunk: expected in every request but the first"),
        ([options(b"abc"), chunk(b"ab")], "chunk: expected 3 bytes"),
        ([options(b"abc"), chunk(b"abcd"), chunk(b"e")], "chunk: expected 3 bytes"),
        ([options(b"abc"), chunk(b"abd")], "chunk: expected 3 bytes"),
        ([options(b"abc"), chunk(b"a"), chunk(b"bc")], "file: corrupt or incomplete"),
        ([options(backbone="no", reembed=True, size_bytes=0)], "file: corrupt or incomplete"),
    ],
)
async def test_a_wrong_stream_is_refused(server, requests, message):
    stub = transfer_pb2_grpc.TransferServiceStub(server.channel)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.ImportSupportSet(iter(requests))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert message in refused.value.details()
