"""What no backbone at all would answer: the nearest prototype of the pixels themselves.

Shapes: N exemplars, Q queries, P pixel values, L labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.backends.images import ImageLimits, decode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from split import Split

SIDE = 32
_LIMITS = ImageLimits()


def pixels(image: bytes) -> NDArray[np.float32]:
    """The image's center square at 32 x 32, unit length, (P,). Decoded as the server decodes."""
    values = decode(image, SIDE, _LIMITS).astype(np.float32).ravel()
    return values / max(float(np.linalg.norm(values)), 1.0)


def split_accuracy(split: Split) -> float:
    """`accuracy` of a split's own images."""
    return accuracy(
        np.stack([pixels(exemplar.image) for exemplar in split.taught]),
        [exemplar.label for exemplar in split.taught],
        np.stack([pixels(query.image) for query in split.asked]),
        [query.label for query in split.asked],
    )


def accuracy(
    taught_NP: NDArray[np.float32],
    taught: Sequence[str],
    asked_QP: NDArray[np.float32],
    asked: Sequence[str],
) -> float:
    """The share of queries whose nearest prototype, by cosine, has their label."""
    labels, owner_N = np.unique(np.array(taught), return_inverse=True)
    prototypes_LP = np.stack([taught_NP[owner_N == i].mean(axis=0) for i in range(len(labels))])
    prototypes_LP /= np.linalg.norm(prototypes_LP, axis=1, keepdims=True)
    answers = labels[np.argmax(asked_QP @ prototypes_LP.T, axis=1)]
    return float(np.mean(answers == np.array(asked)))
