"""Which tenants have a job under way: one at a time, since each holds much memory."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING

from exemplar_server.errors import OverloadedError

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a tenant is told to wait while a job of its is under way: one that it cancels ends sooner.
RETRY_AFTER_SECONDS = 1.0


class Turns:
    """At most `most` tenants at once. One event loop only."""

    def __init__(self, refusal: str, most: float = math.inf) -> None:
        """`refusal` is what a tenant is told; {tenant} stands for it."""
        self._refusal = refusal
        self._most = most
        self._tenants: set[str] = set()

    @contextmanager
    def take(self, tenant: str) -> Iterator[None]:
        """Raises OverloadedError while the tenant has one, or too many others have."""
        if tenant in self._tenants or len(self._tenants) >= self._most:
            raise OverloadedError(self._refusal.format(tenant=repr(tenant)), RETRY_AFTER_SECONDS)
        self._tenants.add(tenant)
        try:
            yield
        finally:
            self._tenants.remove(tenant)
