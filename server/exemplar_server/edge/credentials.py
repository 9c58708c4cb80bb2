"""Whose call it is: the tenant comes from the credential, never from a request's fields."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING

from exemplar_server.errors import (
    ConfigurationError,
    InvalidInputError,
    PermissionDeniedError,
    UnauthenticatedError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TENANT_KEY = "x-exemplar-tenant"
DEFAULT_TENANT = "default"
NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,64}", re.ASCII)


class Credentials:
    """Knows the API keys by their hashes; without any, the caller names its tenant itself.

    The second is for loopback addresses (or EXEMPLAR_INSECURE=1): settings.py sees to it.
    """

    def __init__(self, tenant_of_key_hash: Mapping[str, str] | None) -> None:
        self._tenant_of_key_hash = tenant_of_key_hash

    def tenant(self, metadata: Mapping[str, str]) -> str:
        """The caller's tenant.

        Raises:
            UnauthenticatedError: no valid API key where one is needed.
            PermissionDeniedError: the key is another tenant's.
            InvalidInputError: the tenant's name is malformed.
        """
        claimed = metadata.get(TENANT_KEY, "")
        if claimed and not NAME.fullmatch(claimed):
            raise InvalidInputError(
                f"{TENANT_KEY}: expected [A-Za-z0-9._-]{{1,64}}, got {claimed!r}"
            )
        if self._tenant_of_key_hash is None:
            return claimed or DEFAULT_TENANT
        tenant = self._tenant_of(metadata.get("authorization", ""))
        if claimed not in {"", tenant}:
            raise PermissionDeniedError(f"{TENANT_KEY}: the API key is not one of {claimed!r}")
        return tenant

    def _tenant_of(self, authorization: str) -> str:
        scheme, _, key = authorization.partition(" ")
        presented = key_hash(key)
        tenant = ""
        for known, owner in (self._tenant_of_key_hash or {}).items():
            if hmac.compare_digest(known, presented):  # every key is compared: equal time for all
                tenant = owner
        if scheme.lower() != "bearer" or not tenant:
            raise UnauthenticatedError("expected metadata 'authorization: Bearer <API key>'")
        return tenant


def key_hash(key: str) -> str:
    """How keys are kept: their SHA-256 is enough, as they are random, not chosen by people."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_api_keys(path: Path) -> dict[str, str]:
    """Tenants by key hash, from lines "tenant hash"; blank lines and # comments are passed over.

    Raises:
        ConfigurationError: the file cannot be read, is empty, or has a malformed line.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"EXEMPLAR_API_KEYS_FILE: {path}: {error}") from error
    tenants: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or not NAME.fullmatch(words[0]) or not _is_hash(words[1]):  # noqa: PLR2004
            raise ConfigurationError(
                f"EXEMPLAR_API_KEYS_FILE: {path}:{number}: expected 'tenant sha256-of-key' "
                "as exemplar-server new-key prints it"
            )
        tenants[words[1]] = words[0]
    if not tenants:
        raise ConfigurationError(
            f"EXEMPLAR_API_KEYS_FILE: {path}: expected at least one key, got none"
        )
    return tenants


def _is_hash(word: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{64}", word) is not None
