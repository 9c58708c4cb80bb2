"""The embedders of the backbones that this server runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exemplar_server.errors import FingerprintMismatchError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exemplar_server.core.embedder import Embedder
    from exemplar_server.core.exemplars import SupportSet


@dataclass(frozen=True)
class Embedders:
    """The default one first."""

    _embedders: Sequence[Embedder]

    def named(self, backbone: str) -> Embedder:
        """The first of the name, or the one of name@version; the default one for an empty name."""
        for embedder in self._embedders:
            if backbone in {"", embedder.backbone.manifest.name, embedder.backbone.manifest.label}:
                return embedder
        running = ", ".join(e.backbone.manifest.label for e in self._embedders)
        raise NotFoundError(f"backbone: expected one of {running}, got {backbone!r}")

    def of(self, support_set: SupportSet) -> Embedder:
        for embedder in self._embedders:
            if embedder.backbone.manifest.fingerprint == support_set.fingerprint:
                return embedder
        running = ", ".join(
            f"{e.backbone.manifest.label} (fingerprint {e.backbone.manifest.fingerprint[:12]})"
            for e in self._embedders
        )
        raise FingerprintMismatchError(
            f"support set {support_set.name!r} was made with backbone {support_set.backbone} "
            f"(fingerprint {support_set.fingerprint[:12]}), this server runs {running}"
        )
