"""Claims about connections."""

import json

import pytest

from exemplar import Client, InvalidArgumentError
from exemplar.channel import CHANNEL_BYTES, channel_options, connection


def test_a_key_never_travels_in_the_clear():
    with pytest.raises(InvalidArgumentError, match=r"api_key: expected TLS .* to far\.example:1"):
        Client("far.example:1", api_key="secret")


@pytest.mark.parametrize(
    "target", ["127.0.0.1:1", "localhost:1", "[::1]:1", "unix:/run/x", "dns:///localhost:1"]
)
def test_loopback_needs_no_tls(target):
    metadata = connection(target, None, "secret", None, False).metadata
    assert metadata == (("authorization", "Bearer secret"),)


@pytest.mark.parametrize("target", ["127.0.0.1.evil.example:1", "localhost.evil.example:1"])
def test_a_name_that_only_looks_like_loopback_needs_tls(target):
    with pytest.raises(InvalidArgumentError):
        connection(target, None, "secret", None, False)


def test_certificates_turn_tls_on(tmp_path):
    (tmp_path / "root.pem").write_bytes(b"PEM")
    made = connection("far.example:1", None, "secret", tmp_path / "root.pem", False)
    assert (made.tls, made.root_certificates) == (True, b"PEM")


def test_a_retry_keeps_the_largest_request():
    options = dict(channel_options())
    assert options["grpc.per_rpc_retry_buffer_size"] == CHANNEL_BYTES
    assert options["grpc.max_send_message_length"] == CHANNEL_BYTES
    retries = json.loads(options["grpc.service_config"])["methodConfig"][0]["retryPolicy"]
    assert retries["retryableStatusCodes"] == ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED"]
