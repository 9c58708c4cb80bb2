"""What a backbone learned to tell apart: its base classes, as a background for new labels.

Shapes: P base classes, D dim, S dim of their span, N embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core import heads
from exemplar_server.errors import ArtifactError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# All three were chosen on CIFAR-10's training images; Fashion-MNIST, letters and half of the emoji
# lose little by them (tests/bench/results/2026-11-25-trust.md).
NEAREST = 5
MIXED_SHARE = 0.5
KNOWN_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class BasePrototypes:
    """Unit-length rows, (P, D), their mean taken off; none where a backbone has no base classes.

    Without them every method leaves things as they are.
    """

    rows_PD: NDArray[np.float32]

    def seen(self, embeddings_ND: NDArray[np.float32]) -> NDArray[np.float32]:
        """The part of the embeddings that tells base classes apart, at unit length, (N, S)."""
        if not len(self.rows_PD):
            return embeddings_ND
        spanned_NS = (embeddings_ND @ self._span_DS).astype(np.float64)
        return heads.unit(spanned_NS).astype(np.float32)

    def mixed(self, prototypes_NS: NDArray[np.float64]) -> NDArray[np.float64]:
        """Prototypes moved towards the base classes that they are like: few exemplars err less.

        As Yang et al. 2021, "Free Lunch for Few-shot Learning: Distribution Calibration", section
        3.2 (https://arxiv.org/abs/2101.06395), by similarity.
        """
        if not len(self.rows_PD):
            return prototypes_NS
        similarities_NP = prototypes_NS @ self._rows_PS.T
        least_N1 = np.partition(similarities_NP, -NEAREST, axis=1)[:, [-NEAREST]]
        weights_NP = np.where(similarities_NP < least_N1, 0, np.maximum(similarities_NP, 0))
        return heads.unit(prototypes_NS + MIXED_SHARE * weights_NP @ self._rows_PS)

    def similarities(self, seen_NS: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosines with the base classes, (N, P)."""
        if not len(self.rows_PD):
            return np.zeros((len(seen_NS), 0), np.float32)
        result_NP: NDArray[np.float32] = seen_NS @ self._rows_PS.T
        return result_NP

    def pull(
        self, similarities_NP: NDArray[np.float32], known_NP: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """How much like base classes that the support set does not know, (N,).

        `known_NP` (one row will do) are the base classes' similarities with the best label.
        """
        if not similarities_NP.shape[1]:
            return np.zeros(len(similarities_NP))
        strange_NP = similarities_NP - KNOWN_SHARE * known_NP
        top_NK = np.partition(strange_NP, -NEAREST, axis=1)[:, -NEAREST:]
        result_N: NDArray[np.float64] = top_NK.mean(axis=1, dtype=np.float64)
        return result_N

    @cached_property
    def _span_DS(self) -> NDArray[np.float32]:
        basis_DR, steps_RP = np.linalg.qr(self.rows_PD.T)
        # A row that others already span adds nothing: there is one, as the mean was taken off.
        is_new_R = np.abs(np.diagonal(steps_RP)) > 1e-4  # noqa: PLR2004 - far above rounding
        return np.ascontiguousarray(basis_DR[:, is_new_R])

    @cached_property
    def _rows_PS(self) -> NDArray[np.float32]:
        return self.seen(self.rows_PD)


NO_BASE = BasePrototypes(np.zeros((0, 0), np.float32))


def centered(rows_PD: NDArray[np.float32]) -> BasePrototypes:
    """Of a classifier's weights, one row a base class."""
    wide_PD = rows_PD.astype(np.float64)
    return BasePrototypes(heads.unit(wide_PD - wide_PD.mean(axis=0)).astype(np.float32))


def read(path: Path, dim: int) -> BasePrototypes:
    """The base prototypes in an artifact's file.

    Raises:
        ArtifactError: they are none, or of another dim.
    """
    try:
        rows_PD = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not readable: {error}: export the backbone again") from error
    count = len(rows_PD) if rows_PD.ndim else 0
    expected = np.float32, (max(count, NEAREST + 1), dim)
    if (rows_PD.dtype, rows_PD.shape) != expected or not np.isfinite(rows_PD).all():
        raise ArtifactError(
            f"{path}: expected finite float32 of shape {expected[1]}, "
            f"got {rows_PD.dtype} of shape {rows_PD.shape}"
        )
    return BasePrototypes(rows_PD)
