"""SimCLR: two views of an image agree, against all other views of the batch.

Chen et al. 2020, https://arxiv.org/abs/2002.05709, algorithm 1. All views pass as one batch; the
views of all processes are negatives. The paper's LARS is for batches of thousands.

Shapes: N images of all processes, M = 2N views, B images of this process, H height, W width,
C channels, D dim of z.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
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
    from exemplar_training.fit.distributed import World
    from exemplar_training.fit.method import Batch


class SimClr:
    """A `Paper`: the backbone f under the projection head g."""

    def __init__(
        self, backbone: Backbone, batches: Batches, config: RunConfig, world: World
    ) -> None:
        self._temperature, self._world = config.simclr.temperature, world
        self._pairs = pairs_of(config.views, batches)
        g = mlp(dim_of(backbone), config.simclr.hidden, config.simclr.dim)
        self._network = Projected(Embedder(backbone), g)

    @property
    def module(self) -> nn.Module:
        return self._network

    @property
    def backbone(self) -> Embedder:
        return self._network.embedder

    def views(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return self._pairs.of(batch)

    def step(self, views: tuple[Tensor, ...], batch: Batch) -> Step:
        z_i_BD, z_j_BD = self._network(torch.cat(views)).chunk(2)
        z_i_ND, z_j_ND = self._world.joined(z_i_BD), self._world.joined(z_j_BD)
        return Step(nt_xent(z_i_ND, z_j_ND, self._temperature), z_i_BD, z_j_BD)

    def train(self) -> None:
        pass

    def after_step(self, step: int) -> None:
        pass


def nt_xent(z_i_ND: Tensor, z_j_ND: Tensor, temperature: float) -> Tensor:
    """The normalized temperature-scaled cross entropy: the mean of l(i, j) over all M views.

    Equation 1: a view's positive is the other view of its image, its negatives are the other
    M - 2; it is not compared with itself.
    """
    with torch.autocast(z_i_ND.device.type, enabled=False):
        z_MD = functional.normalize(torch.cat([z_i_ND, z_j_ND]))
        logits_MM = (z_MD @ z_MD.T / temperature).fill_diagonal_(-torch.inf)
        positive_M = torch.arange(len(z_MD), device=z_MD.device).roll(len(z_i_ND))
        return functional.cross_entropy(logits_MM, positive_M)
