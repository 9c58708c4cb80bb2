"""Optimizer and learning-rate schedule from their configuration."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from exemplar_training.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from exemplar_training.config import OptimizerConfig, ScheduleConfig
    from exemplar_training.fit.method import Group


def optimizer_of(groups: list[Group], config: OptimizerConfig) -> torch.optim.Optimizer:
    """The optimizer over `groups`, maybe none. Vectors (biases, norms) are not decayed.

    He et al. 2018, "Bag of Tricks", https://arxiv.org/abs/1812.01187, section 3.1.

    Raises:
        ConfigError: there are groups, but nothing in them learns.
    """
    parts = [part for group in groups for part in _parts(group, config)]
    if not groups:
        parts = [{"params": []}]
    if not parts:
        raise ConfigError("model.trained: expected something that learns, got no parameters")
    if config.name == "adamw":
        return torch.optim.AdamW(parts, lr=config.rate)
    is_nesterov = config.momentum > 0
    return torch.optim.SGD(parts, lr=config.rate, momentum=config.momentum, nesterov=is_nesterov)


def _parts(group: Group, config: OptimizerConfig) -> list[dict[str, Any]]:
    """The group's matrices with weight decay and its vectors without; none that is empty."""
    matrices = [each for each in group.parameters if each.ndim > 1]
    vectors = [each for each in group.parameters if each.ndim <= 1]
    rate = config.rate * group.rate_scale
    both: list[tuple[list[nn.Parameter], float]] = [(matrices, config.weight_decay), (vectors, 0.0)]
    return [{"params": part, "lr": rate, "weight_decay": decay} for part, decay in both if part]


def scheduler_of(optimizer: torch.optim.Optimizer, config: ScheduleConfig) -> LambdaLR:
    return LambdaLR(optimizer, lambda step: rate_at(step, config))


def rate_at(step: int, config: ScheduleConfig) -> float:
    """The share of the highest rate at `step`, counted from 0: linear up, half a cosine down.

    Loshchilov & Hutter 2017, "SGDR", https://arxiv.org/abs/1608.03983, equation 5.
    """
    if step < config.warmup_steps:
        return (step + 1) / (config.warmup_steps + 1)
    falling_steps = max(1, config.steps - config.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * (step - config.warmup_steps) / falling_steps))
