"""Learning from images without labels: what a paper's file has, and how the trainer runs it.

Shapes: B images of this process, H height, W width, C channels, D dim.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import torch

from exemplar_training.fit.frozen import learning
from exemplar_training.fit.method import Group
from exemplar_training.self_supervised.watching import Watch, similarities

if TYPE_CHECKING:
    from torch import Tensor, nn

    from exemplar_training.config import RunConfig
    from exemplar_training.embedder import Embedder
    from exemplar_training.fit.batches import Batches
    from exemplar_training.fit.method import Batch
    from exemplar_training.self_supervised.nearest import Asked


@dataclass(frozen=True)
class Step:
    """What a step gives. `one_BD` and `other_BD` are what the loss brings together, row by row.

    They are looked at, never learned from; `told` are the paper's own numbers for the log.
    """

    loss: Tensor
    one_BD: Tensor
    other_BD: Tensor
    told: dict[str, Tensor] = field(default_factory=dict)


class Paper(Protocol):
    """A method as its paper has it. Its `module` holds all that learns or moves.

    The module's child `embedder` has the backbone; what of the rest requires a gradient learns.
    """

    @property
    def module(self) -> nn.Module: ...

    @property
    def backbone(self) -> Embedder: ...

    def views(self, batch: Batch) -> tuple[Tensor, ...]:
        """What is shown of each image, uint8 (B, H, W, C) each."""
        ...

    def step(self, views: tuple[Tensor, ...], batch: Batch) -> Step: ...

    def train(self) -> None:
        """Called when the backbone is in training mode, as far as it learns."""
        ...

    def after_step(self, step: int) -> None: ...


class SelfSupervised:
    """A `Method`: any paper on any part of a backbone, watched; labels go to the watch alone."""

    def __init__(
        self, paper: Paper, batches: Batches, asked: Asked | None, config: RunConfig
    ) -> None:
        self._paper, self._config = paper, config
        trunk = paper.backbone.trunk
        self._learning = learning(trunk, config.model.trained, batches.input_size)
        self._watch = Watch(paper.backbone, batches, asked, config.schedule.steps)
        paper.module.add_module("watch", self._watch)

    @property
    def module(self) -> nn.Module:
        return self._paper.module

    def groups(self) -> list[Group]:
        blocks = self._learning.groups(self._config.model.layer_decay)
        own = {id(each) for each in self._paper.backbone.parameters()}
        others = [
            each for each in self.module.parameters() if each.requires_grad and id(each) not in own
        ]
        return [*blocks, Group(others)]

    def train(self) -> None:
        self.module.train()
        self._learning.train()
        self._paper.train()

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The paper's loss; what is watched of the outputs, and each epoch of the backbone."""
        if self._watch.is_due(batch.step):
            self.module.eval()
            self._watch.look()
            self.train()
        with torch.no_grad(), torch.autocast(batch.image_BHWC.device.type, enabled=False):
            views = self._paper.views(batch)
        step = self._paper.step(views, batch)
        watched = similarities(step.one_BD.detach(), step.other_BD.detach())
        return step.loss, {**watched, **self._watch.told(), **step.told}

    def after_step(self, step: int) -> None:
        with torch.no_grad():
            self._paper.after_step(step)
