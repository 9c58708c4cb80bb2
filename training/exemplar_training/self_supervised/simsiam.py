"""SimSiam: a network predicts what it says itself of another view; the gradient stops there.

Chen & He 2020, https://arxiv.org/abs/2011.10566, algorithm 1. No negatives and no slow copy. The
paper keeps the rate of h constant; here it falls with the others.

Shapes: B images of this process, H height, W width, C channels, D dim of z.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from exemplar_training.embedder import Embedder
from exemplar_training.fit.network import dim_of
from exemplar_training.self_supervised.heads import mlp
from exemplar_training.self_supervised.kept_views import pairs_of
from exemplar_training.self_supervised.method import Step
from exemplar_training.self_supervised.projected import Projected

if TYPE_CHECKING:
    from exemplar_training.backbones import Backbone
    from exemplar_training.config import RunConfig
    from exemplar_training.fit.batches import Batches
    from exemplar_training.fit.method import Batch


class SimSiam:
    """A `Paper`: the backbone and its projection MLP are f; h predicts."""

    def __init__(self, backbone: Backbone, batches: Batches, config: RunConfig) -> None:
        dim = config.simsiam.dim
        self._pairs = pairs_of(config.views, batches)
        self._f = Projected(Embedder(backbone), projection(dim_of(backbone), dim))
        self._h = mlp(dim, config.simsiam.hidden, dim)
        children = {"embedder": self._f.embedder, "projector": self._f.projector}
        self._module = nn.ModuleDict({**children, "predictor": self._h})

    @property
    def module(self) -> nn.Module:
        return self._module

    @property
    def backbone(self) -> Embedder:
        return self._f.embedder

    def views(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return self._pairs.of(batch)

    def step(self, views: tuple[Tensor, ...], batch: Batch) -> Step:
        z1_BD, z2_BD = (self._f(each) for each in views)
        p1_BD, p2_BD = self._h(z1_BD).float(), self._h(z2_BD).float()
        loss = distance(p1_BD, z2_BD) / 2 + distance(p2_BD, z1_BD) / 2
        return Step(loss, p1_BD, z2_BD)

    def train(self) -> None:
        pass

    def after_step(self, step: int) -> None:
        pass


def projection(dim: int, width: int) -> nn.Sequential:
    """Section 3, "Projection MLP": three layers, BatchNorm on each, the last without ReLU."""
    return nn.Sequential(
        nn.Linear(dim, width, bias=False),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Linear(width, width, bias=False),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Linear(width, width, bias=False),
        nn.BatchNorm1d(width),
    )


def distance(p_BD: Tensor, z_BD: Tensor) -> Tensor:
    """D(p, z), equations 1 and 3: the negative cosine; the gradient stops at z."""
    return -functional.cosine_similarity(p_BD, z_BD.detach(), dim=1).mean()
