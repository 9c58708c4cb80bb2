"""A run in progress: what moves at each step, all of which a checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from exemplar_training import config_file
from exemplar_training.errors import CheckpointError
from exemplar_training.fit import random_states
from exemplar_training.fit.ema import Ema
from exemplar_training.fit.optimizers import optimizer_of, scheduler_of

if TYPE_CHECKING:
    from torch import Tensor

    from exemplar_training.config import RunConfig
    from exemplar_training.fit.distributed import World
    from exemplar_training.fit.method import Method

# Names of facts.
ORIGIN, IMAGES = "origin", "images"
# What may differ when a run goes on: none of it changes a weight.
_FREE = {
    "data.root",
    "data.workers",
    "target.root",
    "target.workers",
    "schedule.log_every_steps",
    "schedule.checkpoint_every_steps",
}


@dataclass
class Training:
    """`step` counts the steps that were made. Only the loop's thread may call it."""

    config: RunConfig
    method: Method
    world: World
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LambdaLR
    scaler: torch.amp.GradScaler
    ema: Ema | None
    facts: dict[str, str]  # what does not move, in words and hashes
    step: int = 0

    def is_due(self, every_steps: int) -> bool:
        """Whether something is done now that is done every so often, and at the end."""
        return self.step % every_steps == 0 or self.step == self.config.schedule.steps

    def update(self, loss: Tensor) -> None:
        """One step of everything, from the loss of batch `step`."""
        if loss.requires_grad:
            self._descend(loss)
        self.method.after_step(self.step)
        if self.ema is not None:
            self.ema.update(self.method.module, self.step)
        self.step += 1

    def _descend(self, loss: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._clip()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.scheduler.step()

    def _clip(self) -> None:
        if self.config.optimizer.clip_norm > 0:
            self.scaler.unscale_(self.optimizer)
            parameters = [each for g in self.optimizer.param_groups for each in g["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, self.config.optimizer.clip_norm)

    def content(self) -> dict[str, Any]:
        """All that goes on from here, for `checkpoint.save`; every process must ask."""
        return {
            "config": config_file.as_toml(self.config),
            "facts": self.facts,
            "step": self.step,
            "module": self.method.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": self.scaler.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
            "random_by_rank": self.world.gathered(random_states.states()),
        }

    def put_back(self, content: dict[str, Any]) -> None:
        """Goes on where `content` was taken.

        Raises:
            CheckpointError: it is of another number of processes.
        """
        states = content["random_by_rank"]
        if len(states) != self.world.size:
            message = f"expected {len(states)} processes as before, got {self.world.size}"
            raise CheckpointError(f"--resume: {message}")
        self.facts, self.step = content["facts"], content["step"]
        self.method.module.load_state_dict(content["module"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.scheduler.load_state_dict(content["scheduler"])
        self.scaler.load_state_dict(content["scaler"])
        if self.ema is not None:
            self.ema.load_state_dict(content["ema"])
        random_states.put_back(states[self.world.rank])


def training_of(config: RunConfig, method: Method, world: World, facts: dict[str, str]) -> Training:
    """The run before its first step, with every generator seeded."""
    random_states.seed_all(config.seed, world.rank)
    kind = world.device.type
    is_last = config.compute.channels_last and kind == "cuda"
    method.module.to(world.device)
    if is_last:
        method.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = optimizer_of(method.groups(), config.optimizer)
    decay = config.optimizer.ema_decay
    return Training(
        config,
        method,
        world,
        optimizer,
        scheduler_of(optimizer, config.schedule),
        torch.amp.GradScaler(kind, enabled=config.compute.precision == "fp16"),
        Ema(method.module, decay) if decay else None,
        facts,
    )


def check_same(content: dict[str, Any], config: RunConfig, images_sha256: str) -> None:
    """Raises CheckpointError where `content` is of another configuration or of other images."""
    if content["facts"][IMAGES] != images_sha256:
        raise CheckpointError("--resume: data: expected the same images, got others")
    old, new = config_file.flat(config_file.parse(content["config"])), config_file.flat(config)
    for key in sorted(set(old) - _FREE):
        if old[key] != new[key]:
            message = f"expected {old[key]!r} as in the run's checkpoint, got {new[key]!r}"
            raise CheckpointError(f"--resume: {key}: {message}")
