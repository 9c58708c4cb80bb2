"""Is anything learned? Effective rank, spread and similarities; and collapse, in words.

Shapes: N images, B batch, H height, W width, C channels, D dim.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from exemplar_training.embedder import Embedder
    from exemplar_training.fit.batches import Batches
    from exemplar_training.self_supervised.nearest import Asked

PROBE = 256  # images whose rank and spread are measured each epoch
# From runs that learn and runs that collapse: tests/bench/results/2026-11-25-collapse.md.
_LEAST_SPREAD = 0.32  # outputs with a mean cosine of 0.9
# SimSiam without its stop-gradient on letters: a mean cosine of 0.71 to 0.88, and views of one
# image nearer than that by at most 0.05 of what is left to 1. No method that learns is below both:
# BYOL comes to a spread of 0.59, and MoCo to 0.51 where its views are nearer by 0.1.
_LEAST_SPREAD_APART, _LEAST_APART = 0.55, 0.05
_LEAST_RANK = 1.5  # nine tenths of the variance along one direction; the least of others is 3.6


class Watch(nn.Module):
    """Looks at the same images each epoch, as they would be served. Its numbers are buffers."""

    effective_rank: Tensor
    feature_spread: Tensor
    knn_accuracy: Tensor

    def __init__(
        self, embedder: Embedder, batches: Batches, asked: Asked | None, steps: int
    ) -> None:
        super().__init__()
        for name in ("effective_rank", "feature_spread", "knn_accuracy"):
            self.register_buffer(name, torch.zeros(()))
        self._embedder = [embedder]  # in a list, as it is another module's child
        self._batches, self._asked, self._steps = batches, asked, steps
        rows = evenly(len(batches.images), PROBE) if asked is None else asked.rows_N
        self._seen, self._probe = batches.pixels(rows), evenly(len(rows), PROBE)
        if batches.kept_ND is not None:
            self._seen = self._in_parts(embedder.kept)

    def is_due(self, step: int) -> bool:
        """Whether `step` is the first of an epoch, or the last of all."""
        epoch, before = (math.floor(self._batches.epoch(each)) for each in (step, step - 1))
        return epoch != before or step == self._steps - 1

    @torch.no_grad()
    def look(self) -> None:
        """Measures the backbone, which is in evaluation mode."""
        embeddings_ND = self._in_parts(self._embedder[0]).float()
        if self._asked is not None:
            self.knn_accuracy.copy_(self._asked.accuracy(embeddings_ND))
        self.effective_rank.copy_(effective_rank(embeddings_ND[self._probe]))
        self.feature_spread.copy_(spread(embeddings_ND[self._probe]))

    def _in_parts(self, network: Callable[[Tensor], Tensor]) -> Tensor:
        device, parts = self.effective_rank.device, torch.split(self._seen, self._batches.batch)
        return torch.cat([network(part.to(device)) for part in parts])

    def told(self) -> dict[str, Tensor]:
        answered = {} if self._asked is None else {"knn_accuracy": self.knn_accuracy.clone()}
        return {
            **answered,
            "effective_rank": self.effective_rank.clone(),
            "feature_spread": self.feature_spread.clone(),
        }


def evenly(size: int, most: int) -> NDArray[np.int64]:
    """At most `most` of the numbers 0..size - 1, evenly spread."""
    return np.linspace(0, size - 1, min(most, size)).astype(np.int64)


def effective_rank(embeddings_ND: Tensor) -> Tensor:
    """Along how many directions embeddings vary, 1..D: exp of the entropy of their variances.

    Roy & Vetterli 2007, "The effective rank: a measure of effective dimensionality", equation 3, of
    the covariance matrix. The embeddings' own singular values are the roots: of them many small
    ones, which are noise, outweigh the few that matter, and more images have more of them.
    1 where all are equal.
    """
    centered_ND = (embeddings_ND - embeddings_ND.mean(0)).double()
    if not centered_ND.isfinite().all():
        return centered_ND.new_tensor(math.nan)  # the loop says so, with advice
    variances_D = torch.linalg.svdvals(centered_ND).square()
    shares_D = variances_D / variances_D.sum().clamp_min(torch.finfo(torch.float64).tiny)
    rank: Tensor = torch.special.entr(shares_D).sum().exp()
    return rank


def spread(embeddings_ND: Tensor) -> Tensor:
    """The root of the variance of unit vectors, 0..1: 0 where all are equal, 1 around the sphere.

    SimSiam's std times the root of the dim (https://arxiv.org/abs/2011.10566, section 4.1).
    """
    mean_D = functional.normalize(embeddings_ND).mean(0)
    return (1 - mean_D.square().sum()).clamp_min(0).sqrt()


def similarities(one_BD: Tensor, other_BD: Tensor) -> dict[str, Tensor]:
    """Mean cosine of rows that belong together, and of those that do not; the spread of all."""
    with torch.autocast(one_BD.device.type, enabled=False):
        one_BD, other_BD = (
            functional.normalize(one_BD.float()),
            functional.normalize(other_BD.float()),
        )
        every = one_BD.sum(0) @ other_BD.sum(0)
        own = (one_BD * other_BD).sum()
        count = len(one_BD)
        return {
            "positive_similarity": own / count,
            "negative_similarity": (every - own) / (count * max(count - 1, 1)),
            "output_spread": spread(torch.cat([one_BD, other_BD])),
        }


def collapse(numbers: Mapping[str, float]) -> str:
    """What a line of the log says of a collapse, in words; empty where there is none."""
    if "output_spread" not in numbers or numbers["epoch"] < 1:
        return ""
    spread_told = f"output_spread {numbers['output_spread']:.2g}"
    if numbers["output_spread"] < _LEAST_SPREAD:
        return (
            "collapse: all images give nearly the same output "
            f"({spread_told}, expected at least {_LEAST_SPREAD})"
        )
    one, other = numbers["positive_similarity"], numbers["negative_similarity"]
    if numbers["output_spread"] < _LEAST_SPREAD_APART and one - other < _LEAST_APART * (1 - other):
        return (
            "collapse: all images give similar outputs, two views of one no more than two images "
            f"({spread_told}, positive_similarity {one:.2g}, negative_similarity {other:.2g})"
        )
    if numbers["effective_rank"] < _LEAST_RANK:
        return (
            "collapse: embeddings vary along one direction alone "
            f"(effective_rank {numbers['effective_rank']:.2g}, expected at least {_LEAST_RANK})"
        )
    return ""
