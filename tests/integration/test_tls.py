"""TLS: who knows the certificate is served, whoever speaks plain text or trusts others is not."""

import shutil
import subprocess

import grpc
import pytest

from exemplar.v1 import admin_pb2 as admin
from exemplar.v1 import admin_pb2_grpc
from exemplar_server.edge.credentials import key_hash

KEY = "key-of-acme"
BEARER = (("authorization", f"Bearer {KEY}"),)


def signed_by_itself(folder):
    """A certificate of 127.0.0.1 and its key, as files."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("makes its certificate with the openssl command, which is not installed")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [openssl, "req", "-x509", "-nodes", "-days", "1", "-subj", "/CN=test"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", certificate, "-keyout", key]
    subprocess.run(command, capture_output=True, check=True)
    return certificate, key


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return signed_by_itself(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def settings(settings, pair, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(f"acme {key_hash(KEY)}\n", encoding="ascii")
    files = {"api_keys_file": keys, "tls_certificate_file": pair[0], "tls_key_file": pair[1]}
    return settings.model_copy(update=files)


async def tenant(channel, metadata=BEARER):
    """The caller's tenant, if the server lets it in."""
    service = admin_pb2_grpc.ServerServiceStub(channel)
    info = await service.GetServerInfo(admin.GetServerInfoRequest(), metadata=metadata, timeout=30)
    return info.tenant


def trusting(certificate, server):
    credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
    return grpc.aio.secure_channel(server.address, credentials)


async def refusal(channel, metadata=BEARER):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await tenant(channel, metadata)
    return refused.value.code()


async def test_a_client_that_trusts_the_certificate_is_served(server, pair):
    async with trusting(pair[0], server) as channel:
        assert await tenant(channel) == "acme"


async def test_a_certificate_does_not_stand_in_for_a_key(server, pair):
    async with trusting(pair[0], server) as channel:
        assert await refusal(channel, ()) is grpc.StatusCode.UNAUTHENTICATED


async def test_a_plain_text_client_is_refused(server):
    assert await refusal(server.channel) is grpc.StatusCode.UNAVAILABLE


async def test_a_client_that_trusts_another_certificate_refuses_the_server(server, tmp_path):
    async with trusting(signed_by_itself(tmp_path)[0], server) as channel:
        assert await refusal(channel) is grpc.StatusCode.UNAVAILABLE


async def test_a_plain_text_client_costs_the_others_nothing(server, pair):
    async with trusting(pair[0], server) as channel:
        assert await refusal(server.channel) is grpc.StatusCode.UNAVAILABLE
        assert await tenant(channel) == "acme"
