"""The server's settings: one frozen object, read once from the environment."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from exemplar_server.core.limits import Limits, Quotas
from exemplar_server.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "EXEMPLAR_"
Positive = Annotated[int, Field(ge=1)]
Bound = Annotated[int, Field(ge=0)]  # 0: none


def host_and_port(address: str) -> tuple[str, int]:
    """Splits HOST:PORT; an IPv6 host stands in brackets. Raises ValueError where it cannot."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 - the highest port
        raise ValueError("expected HOST:PORT")
    return host, int(port)


def _checked_address(address: str) -> str:
    host_and_port(address)
    return address


Address = Annotated[str, AfterValidator(_checked_address)]


class Settings(BaseModel):
    """Every field is the environment variable EXEMPLAR_<FIELD IN CAPITALS>."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Where: HOST:PORT, port 0 takes a free one.
    listen: Address = "127.0.0.1:50051"
    metrics_listen: Address = "127.0.0.1:9464"

    # What: a folder of backbones (name/version/manifest.json) or one of them; which of several:
    # name (the newest version) or name@version, by commas, the default for new support sets first.
    backbone_dir: Path = Path("build/backbones")
    backbone: str = ""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    store_url: str = "sqlite:///exemplar.db"

    # Who: "tenant sha256-of-key" lines, and TLS; beyond loopback both are needed, or insecure.
    api_keys_file: Path | None = None
    tls_certificate_file: Path | None = None
    tls_key_file: Path | None = None
    insecure: bool = False
    reflection: bool = True

    # How much at once; one tenant may fill half of the queue.
    queue_images: Positive = 1024
    queue_bytes: Positive = 256 * 2**20
    index_bytes: Positive = 2**30
    # Whether every read asks the store for the revision; else another server's change may be seen
    # up to a second later. And how long a read waits for its min_revision.
    strict_reads: bool = False
    revision_wait_seconds: Annotated[float, Field(ge=0, le=60)] = 2.0
    map_workers: Positive = 1  # maps drawn at once, each on one thread at low priority
    cores: Annotated[int, Field(ge=0)] = 0  # 0: all that this process may use
    drain_seconds: Annotated[float, Field(ge=0, le=600)] = 20.0

    # How much one tenant may store in all; bytes are of embeddings and images.
    tenant_exemplars: Bound = 0
    tenant_bytes: Bound = 0

    # The largest file of a support set that is exported or imported; it lies in a temporary file
    # in TMPDIR meanwhile.
    transfer_bytes: Positive = 4 * 2**30

    # How much in one request.
    message_bytes: Positive = Limits.message_bytes
    image_bytes: Positive = Limits.image_bytes
    image_pixels: Positive = Limits.image_pixels
    images_per_request: Positive = Limits.images_per_request
    neighbors: Positive = Limits.neighbors
    label_characters: Annotated[int, Field(ge=1, le=512)] = Limits.label_characters
    metadata_bytes: Positive = Limits.metadata_bytes
    map_points: Positive = Limits.map_points
    snapshots: Positive = Limits.snapshots

    def limits(self) -> Limits:
        return Limits(**{name: getattr(self, name) for name in Limits.__dataclass_fields__})

    def quotas(self) -> Quotas:
        return Quotas(self.tenant_exemplars, self.tenant_bytes)


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings, checked together.

    Raises:
        ConfigurationError: names every variable that is unknown, wrong or unsafe, and what to do.
    """
    fields = {PREFIX + name.upper(): name for name in Settings.model_fields}
    given = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
    unknown = sorted(given.keys() - fields.keys())
    if unknown:
        raise ConfigurationError(
            f"unknown settings {', '.join(unknown)}: known are {', '.join(sorted(fields))}"
        )
    try:
        settings = Settings.model_validate({fields[name]: v for name, v in given.items()})
    except ValidationError as error:
        lines = (
            f"{PREFIX}{str(e['loc'][0]).upper()}: {e['msg'].lower()}, got {e['input']!r}"
            for e in error.errors()
        )
        raise ConfigurationError("; ".join(lines)) from error
    _check_security(settings)
    return settings


def is_loopback(address: str) -> bool:
    host = host_and_port(address)[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_security(settings: Settings) -> None:
    has_certificate = settings.tls_certificate_file is not None
    if has_certificate != (settings.tls_key_file is not None):
        raise ConfigurationError(
            "EXEMPLAR_TLS_CERTIFICATE_FILE and EXEMPLAR_TLS_KEY_FILE: expected both or neither"
        )
    is_safe = has_certificate and settings.api_keys_file is not None
    if not is_loopback(settings.listen) and not is_safe and not settings.insecure:
        raise ConfigurationError(
            f"EXEMPLAR_LISTEN: {settings.listen} is reachable from outside: set "
            "EXEMPLAR_TLS_CERTIFICATE_FILE, EXEMPLAR_TLS_KEY_FILE and EXEMPLAR_API_KEYS_FILE, "
            "or EXEMPLAR_INSECURE=1 to let anyone in as any tenant"
        )
