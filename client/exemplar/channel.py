"""How channels are opened: message sizes, retries, keepalive, credentials. For both clients."""

from __future__ import annotations

import ipaddress
import json
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import grpc

from exemplar.errors import InvalidArgumentError

# What one message may take, both ways, and what a retry may keep: the server's default of 16 MiB,
# and 1 MiB for answers about the largest request. grpc's own defaults (4 MiB received, 256 KiB
# kept for retries) refuse large messages and silently do not retry them.
CHANNEL_BYTES = 17 * 1024 * 1024

# Retrying is safe for every method: what changes a support set carries a request_id. CANCELLED:
# gRPC's core says so of calls that reach a server in the moment it stops (tests/e2e/test_drain.py);
# what the caller itself cancels is never tried again.
_SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2.5,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED"],
            },
        }
    ],
}

# Above the 300 s that servers demand between pings by default, below the 350 s after which
# AWS load balancers forget a silent connection. Pings are sent during calls only.
_KEEPALIVE_MS = 310_000


@dataclass(frozen=True)
class Connection:
    """Where the server is, and what every call to it carries. Checked when made."""

    target: str
    tenant: str | None
    api_key: str | None
    root_certificates: bytes | None
    tls: bool

    def __post_init__(self) -> None:
        if self.api_key and not self.tls and not _is_loopback(self.target):
            raise InvalidArgumentError(
                f"api_key: expected TLS (root_certificates= or tls=True) to {self.target}, "
                "got none: the key would travel in the clear"
            )

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        key = (("authorization", f"Bearer {self.api_key}"),) if self.api_key else ()
        tenant = (("x-exemplar-tenant", self.tenant),) if self.tenant else ()
        return (*key, *tenant)

    @property
    def credentials(self) -> grpc.ChannelCredentials | None:
        return grpc.ssl_channel_credentials(self.root_certificates) if self.tls else None


def connection(
    target: str,
    tenant: str | None,
    api_key: str | None,
    root_certificates: bytes | str | os.PathLike[str] | None,
    tls: bool,
) -> Connection:
    if isinstance(root_certificates, str | os.PathLike):
        root_certificates = Path(root_certificates).read_bytes()
    return Connection(
        target, tenant, api_key, root_certificates, tls or root_certificates is not None
    )


def channel_options() -> list[tuple[str, str | int]]:
    return [
        ("grpc.max_send_message_length", CHANNEL_BYTES),
        ("grpc.max_receive_message_length", CHANNEL_BYTES),
        ("grpc.per_rpc_retry_buffer_size", CHANNEL_BYTES),
        ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.primary_user_agent", f"exemplar-python/{version('exemplar')}"),
    ]


def _is_loopback(target: str) -> bool:
    if target.startswith("unix:"):
        return True
    host = target.removeprefix("dns:").lstrip("/").rsplit(":", 1)[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
