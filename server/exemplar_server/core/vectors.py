"""Ready-made embeddings that callers send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.errors import FingerprintMismatchError, InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from exemplar_server.core.embedder import Backbone


@dataclass(frozen=True)
class Vector:
    """An embedding as it was sent: nothing of it is checked yet."""

    values: bytes
    dim: int
    fingerprint: str


def unit_embedding(vector: Vector, backbone: Backbone) -> NDArray[np.float32]:
    """The vector scaled to unit length, (D,).

    Raises:
        FingerprintMismatchError: it is from another embedding space than the backbone's.
        InvalidInputError: wrong dim, wrong byte count, not finite, or all zero.
    """
    manifest = backbone.manifest
    if vector.fingerprint != manifest.fingerprint:
        raise FingerprintMismatchError(
            f"fingerprint: expected {manifest.fingerprint} ({manifest.name}), "
            f"got {vector.fingerprint[:64]!r}"
        )
    if vector.dim != manifest.dim or len(vector.values) != 4 * manifest.dim:
        raise InvalidInputError(
            f"expected dim {manifest.dim} in {4 * manifest.dim} bytes, "
            f"got dim {vector.dim} in {len(vector.values)} bytes"
        )
    values_D = np.frombuffer(vector.values, "<f4").astype(np.float64)
    norm = float(np.linalg.norm(values_D))
    if not np.isfinite(norm) or norm == 0.0:
        raise InvalidInputError("expected finite values, not all zero")
    unit_D: NDArray[np.float32] = (values_D / norm).astype(np.float32)
    return unit_D
