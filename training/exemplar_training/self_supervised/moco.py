"""MoCo: a query agrees with its key, against a queue of the keys before.

He et al. 2019, https://arxiv.org/abs/1911.05722, algorithm 1. BatchNorm would tell which key is of
the same batch (section 3.3, "Shuffling BN"). The paper normalizes on each GPU apart and shuffles
keys between GPUs; here parts of a process's batch pass one after the other, keys shuffled between
them, which is the same on one device.

Shapes: B images of this process, N of all, H height, W width, K keys in the queue, D dim of a key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from exemplar_training.embedder import Embedder
from exemplar_training.errors import ConfigError
from exemplar_training.fit.network import dim_of
from exemplar_training.self_supervised.heads import mlp
from exemplar_training.self_supervised.kept_views import pairs_of
from exemplar_training.self_supervised.method import Step
from exemplar_training.self_supervised.projected import Follower, Projected
from exemplar_training.self_supervised.views import PAIR_NUMBERS

if TYPE_CHECKING:
    from exemplar_training.backbones import Backbone
    from exemplar_training.config import RunConfig
    from exemplar_training.fit.batches import Batches
    from exemplar_training.fit.distributed import World
    from exemplar_training.fit.method import Batch

MOCO_NUMBERS = PAIR_NUMBERS + 1
_SHUFFLE = PAIR_NUMBERS  # the number that orders the keys


class Moco:
    """A `Paper`: the query encoder f_q, the key encoder f_k and the queue."""

    def __init__(
        self, backbone: Backbone, batches: Batches, config: RunConfig, world: World
    ) -> None:
        """Raises ConfigError where the queue or the parts do not fit the batch or the images."""
        check_moco(config, batches)
        self._config, self._world = config.moco, world
        self._pairs = pairs_of(config.views, batches)
        head = mlp(dim_of(backbone), config.moco.hidden, config.moco.dim)
        self._f_q = Projected(Embedder(backbone), head)
        self._f_k = Follower(self._f_q)
        self._queue = Queue(config.moco.queue, config.moco.dim)
        children = {"embedder": self._f_q.embedder, "projector": head}
        self._module = nn.ModuleDict({**children, "f_k": self._f_k, "queue": self._queue})
        self._keys_BD: Tensor | None = None  # of the step that is under way

    @property
    def module(self) -> nn.Module:
        return self._module

    @property
    def backbone(self) -> Embedder:
        return self._f_q.embedder

    def views(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return self._pairs.of(batch)

    def step(self, views: tuple[Tensor, ...], batch: Batch) -> Step:
        x_q, x_k = views
        splits = self._config.splits
        q_BD = functional.normalize(in_parts(self._f_q, x_q, splits))
        order_B = batch.uniform_BK[:, _SHUFFLE].argsort()
        k_BD = functional.normalize(shuffled(self._f_k, x_k, order_B, splits))
        # A copy: the queue changes before the next step, not before this one's gradients.
        queue_KD = self._queue.keys_KD.clone()
        loss = moco_loss(q_BD, k_BD, queue_KD, self._config.temperature)
        self._keys_BD = k_BD
        told = {
            "negative_similarity": q_BD.detach().mean(0) @ queue_KD.mean(0),
            "ema_distance": self._f_k.distance(self._f_q),
            "queue_age": self._queue.age(batch.step),
        }
        return Step(loss, q_BD, k_BD, told)

    def train(self) -> None:
        self._f_k.train_as(self._f_q)

    def after_step(self, step: int) -> None:
        """Equation 2, then the queue. The order of both does not matter."""
        if self._keys_BD is None:
            raise RuntimeError("expected a step before what follows it")
        self._f_k.follow(self._f_q, self._config.momentum)
        self._queue.enqueue(self._world.joined(self._keys_BD), step)
        self._keys_BD = None


class Queue(nn.Module):
    """The newest K keys; at first, as in the authors' code, random ones. All of it is buffers."""

    keys_KD: Tensor
    born_K: Tensor
    place: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("keys_KD", functional.normalize(torch.randn(size, dim)))
        self.register_buffer("born_K", torch.full((size,), -1))  # the step; -1: random
        self.register_buffer("place", torch.zeros((), dtype=torch.int64))

    def enqueue(self, keys_ND: Tensor, step: int) -> None:
        """Puts the keys into the place of the oldest ones."""
        places_N = (self.place + torch.arange(len(keys_ND), device=keys_ND.device)) % len(
            self.born_K
        )
        self.keys_KD[places_N] = keys_ND
        self.born_K[places_N] = step
        self.place.add_(len(keys_ND)).remainder_(len(self.born_K))

    def age(self, step: int) -> Tensor:
        """How many steps ago keys were made, the mean; 0 where all are random."""
        is_made_K = self.born_K >= 0
        ages_K = torch.where(is_made_K, step - self.born_K, 0)
        return ages_K.sum() / is_made_K.sum().clamp_min(1)


def moco_loss(q_ND: Tensor, k_ND: Tensor, queue_KD: Tensor, temperature: float) -> Tensor:
    """InfoNCE (equation 1) of unit vectors: a query's own key against all keys of the queue."""
    with torch.autocast(q_ND.device.type, enabled=False):
        positive_N1 = (q_ND * k_ND).sum(1, keepdim=True)
        logits_NL = torch.cat([positive_N1, q_ND @ queue_KD.T], dim=1) / temperature
        first_N = torch.zeros(len(q_ND), dtype=torch.int64, device=q_ND.device)
        return functional.cross_entropy(logits_NL, first_N)


def in_parts(network: nn.Module, image_BHWC: Tensor, count: int) -> Tensor:
    """What `network` makes of `count` equal parts, one after the other: each its own BatchNorm."""
    return torch.cat([network(part) for part in image_BHWC.chunk(count)])


def shuffled(network: nn.Module, image_BHWC: Tensor, order_B: Tensor, count: int) -> Tensor:
    """As `in_parts` of the images in another order; the result is in theirs."""
    shuffled_BD = in_parts(network, image_BHWC[order_B], count)
    return shuffled_BD[order_B.argsort()]


def check_moco(config: RunConfig, batches: Batches) -> None:
    """Raises ConfigError where the queue or the parts do not fit the batch or the images.

    A queue of more keys than there are images holds keys of the query's own image.
    """
    queue, batch, images = config.moco.queue, batches.batch, len(batches.images)
    if queue % batch or not batch <= queue <= max(images, batch):
        expected = f"a multiple of data.batch = {batch} and at most the {images} images"
        raise ConfigError(f"moco.queue: expected {expected}, got {queue}")
    here, splits = batch // batches.shard.count, config.moco.splits
    if here % splits or here < 2 * splits:
        expected = f"equal parts of 2 and more of a process's {here} images"
        raise ConfigError(f"moco.splits: expected {expected}, got {splits}")
