"""BYOL: a network predicts what a slow copy of itself says of another view. No negatives.

Grill et al. 2020, https://arxiv.org/abs/2006.07733, section 3. Both views are varied alike; the
paper's solarized second view and LARS are not here.

Shapes: B images of this process, H height, W width, C channels, D dim of a projection.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from exemplar_training.embedder import Embedder
from exemplar_training.fit.network import dim_of
from exemplar_training.self_supervised.heads import mlp
from exemplar_training.self_supervised.kept_views import pairs_of
from exemplar_training.self_supervised.method import Step
from exemplar_training.self_supervised.projected import Follower, Projected

if TYPE_CHECKING:
    from exemplar_training.backbones import Backbone
    from exemplar_training.config import RunConfig
    from exemplar_training.fit.batches import Batches
    from exemplar_training.fit.method import Batch


class Byol:
    """A `Paper`: the online network theta with its predictor q, and the target network xi."""

    def __init__(self, backbone: Backbone, batches: Batches, config: RunConfig) -> None:
        hidden, dim = config.byol.hidden, config.byol.dim
        self._momentum, self._steps = config.byol.momentum, config.schedule.steps
        self._pairs = pairs_of(config.views, batches)
        g = mlp(dim_of(backbone), hidden, dim)
        self._online = Projected(Embedder(backbone), g)
        self._target = Follower(self._online)
        self._q = mlp(dim, hidden, dim)
        children = {"embedder": self._online.embedder, "projector": g, "predictor": self._q}
        self._module = nn.ModuleDict({**children, "target": self._target})

    @property
    def module(self) -> nn.Module:
        return self._module

    @property
    def backbone(self) -> Embedder:
        return self._online.embedder

    def views(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return self._pairs.of(batch)

    def step(self, views: tuple[Tensor, ...], batch: Batch) -> Step:
        """Each view is predicted from the other, and both losses added."""
        v, v_other = views
        q_BD, q_other_BD = (self._q(self._online(each)).float() for each in (v, v_other))
        z_BD, z_other_BD = (self._target(each) for each in (v, v_other))
        loss = byol_loss(q_BD, z_other_BD) + byol_loss(q_other_BD, z_BD)
        return Step(loss, q_BD, z_other_BD, {"ema_distance": self._target.distance(self._online)})

    def train(self) -> None:
        self._target.train_as(self._online)

    def after_step(self, step: int) -> None:
        self._target.follow(self._online, tau_at(step, self._steps, self._momentum))


def byol_loss(q_BD: Tensor, z_BD: Tensor) -> Tensor:
    """Equation 2: the squared distance of unit vectors, 2 - 2 cos; none of its gradient is z's."""
    cosine_B = functional.cosine_similarity(q_BD, z_BD.detach(), dim=1)
    return (2 - 2 * cosine_B).mean()


def tau_at(step: int, steps: int, base: float) -> float:
    """Section 3.2: 1 - (1 - base) (cos(pi k / K) + 1) / 2 at step k of K."""
    return 1 - (1 - base) * (math.cos(math.pi * step / steps) + 1) / 2
