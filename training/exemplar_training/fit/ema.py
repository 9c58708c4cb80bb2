"""A moving average of the weights, which is what an export takes where it is kept."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn


class Ema:
    """`module` averaged over its steps. Only the loop may call `update`, after each step.

    Everything that is a floating-point number is averaged, BatchNorm's statistics too: they belong
    to averaged weights. Counters and other integers are copied. What does not move stays equal to
    the bit.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._decay = decay
        self._average = copy.deepcopy(module.state_dict())

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Moves towards `module` by 1 - decay; faster in the first steps, of which `step` counts.

        The smaller of `decay` and (1 + step) / (10 + step), as TensorFlow's
        ExponentialMovingAverage with num_updates has it: the first weights are soon forgotten.
        """
        move(self._average, module, 1 - min(self._decay, (1 + step) / (10 + step)))

    def state_dict(self) -> dict[str, Tensor]:
        return self._average

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for name, average in self._average.items():
            average.copy_(state[name])


@torch.no_grad()
def move(average: Mapping[str, Tensor], module: nn.Module, weight: float) -> None:
    """Moves every number of `average` towards that of `module` by `weight`; copies integers."""
    for name, value in module.state_dict().items():
        if average[name].is_floating_point():
            average[name].lerp_(value, weight)
        else:
            average[name].copy_(value)
