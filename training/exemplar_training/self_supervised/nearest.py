"""Do an image's nearest neighbors have its label? Looked at, never learned from.

Each of some images of the run is answered by the others, as Wu et al. 2018 do it
(https://arxiv.org/abs/1805.01978, section 3.4). They are images that the run trains on, without
their labels, so this says whether labels form groups and never how new images would be answered.
Images of one source (a font) are no neighbors of each other: fonts would be measured, not letters.

Shapes: N images that are looked at, B of them at once, C classes, K neighbors, D dim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from exemplar_training.data.balanced import balanced_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from exemplar_training.data.image_set import ImageSet

MOST_NEIGHBORS, TEMPERATURE = 20, 0.1
_MOST, _LEAST, _SHARE = 4096, 256, 4  # a quarter of the images, between these
_PIXEL_BYTES = 2**28  # they stay in memory: 1,783 of 224 x 224 pixels
_LEAST_EACH = 10  # images of a class, rather than one of each of very many
_AT_ONCE = 512


@dataclass(frozen=True)
class Asked:
    """Which rows of the run's images are looked at, and the classes and sources they came with.

    `k` neighbors answer: 20, or fewer where an image has no 20 others of its class. Images that
    have none are only neighbors: `is_asked_N` is false.
    """

    rows_N: NDArray[np.int64]
    class_ids_N: Tensor
    sources_N: Tensor
    is_asked_N: Tensor
    k: int

    def accuracy(self, embeddings_ND: Tensor) -> Tensor:
        """The share of the asked images that their neighbors answer right."""
        device = embeddings_ND.device
        class_ids_N, sources_N = self.class_ids_N.to(device), self.sources_N.to(device)
        embeddings_ND = functional.normalize(embeddings_ND)
        right = torch.zeros((), device=device)
        for rows_B in torch.split(self.is_asked_N.nonzero()[:, 0].to(device), _AT_ONCE):
            similarities_BN = embeddings_ND[rows_B] @ embeddings_ND.T
            is_near_BN = sources_N[rows_B, None] == sources_N
            similarities_BN.masked_fill_(is_near_BN, -torch.inf)  # itself too
            answers_B = answered(similarities_BN, class_ids_N, self.k)
            right += (answers_B == class_ids_N[rows_B]).sum()
        return right / self.is_asked_N.sum().to(device)


def answered(similarities_BN: Tensor, class_ids_N: Tensor, k: int) -> Tensor:
    """The class with the most votes of the k nearest; a vote weighs exp(similarity / 0.1)."""
    nearest_BK = similarities_BN.topk(k, dim=1)
    votes_BC = similarities_BN.new_zeros(len(similarities_BN), int(class_ids_N.max()) + 1)
    weights_BK = (nearest_BK.values / TEMPERATURE).exp()
    return votes_BC.scatter_add_(1, class_ids_N[nearest_BK.indices], weights_BK).argmax(1)


def asked_of(images: ImageSet, input_size: int, seed: int) -> Asked | None:
    """Images spread over the classes by `seed`; None where there are no two classes to tell apart.

    At most a quarter of them, or 256, so that looking costs little beside an epoch.
    """
    at_most = min(_MOST, _PIXEL_BYTES // (3 * input_size**2))
    most = max(_LEAST, min(at_most, len(images) // _SHARE))
    rng = np.random.default_rng((seed, 3))
    rows_N = balanced_rows(images.class_ids_N, most, _LEAST_EACH, rng)
    class_ids_N = images.class_ids_N[rows_N]
    sources_N = rows_N if images.sources_N is None else images.sources_N[rows_N]
    others_N = _others(class_ids_N, sources_N)
    is_asked_N = others_N > 0
    if len(np.unique(class_ids_N[is_asked_N])) < 2:  # noqa: PLR2004 - nothing to tell apart
        return None
    k = min(MOST_NEIGHBORS, int(others_N[is_asked_N].min()))
    class_ids, sources = torch.from_numpy(class_ids_N), torch.from_numpy(sources_N)
    return Asked(rows_N, class_ids, sources, torch.from_numpy(is_asked_N), k)


def _others(class_ids_N: NDArray[np.int64], sources_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many images of its class each image has in other sources."""
    _, class_N = np.unique(class_ids_N, return_inverse=True)
    pairs = np.stack([class_ids_N, sources_N], axis=1)
    _, pair_N, sizes = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    others_N: NDArray[np.int64] = np.bincount(class_N)[class_N] - sizes[pair_N.reshape(-1)]
    return others_N
