"""Other poolings than a backbone's own: of inner blocks, by means, maxima or deviations.

A small defect on a surface is lost in the average of the last block, and is the largest deviation
from the image's own mean in an early one. Shapes: B batch, C channels, H height, W width, D dim.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, TypeGuard

import torch
from torch import Tensor, nn

from exemplar_training.errors import ConfigError
from exemplar_training.fit.frozen import blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_CHOICE = re.compile(r"(\d+):([a-z]+)")
_MAP_DIMENSIONS = 4
_ONE_AT_A_TIME = threading.Lock()  # a hook would see what another thread's image gives


def _average(map_BCHW: Tensor) -> Tensor:
    return map_BCHW.mean((2, 3))


def _max(map_BCHW: Tensor) -> Tensor:
    return map_BCHW.amax((2, 3))


def _above(map_BCHW: Tensor) -> Tensor:
    return _max(map_BCHW) - _average(map_BCHW)


def _below(map_BCHW: Tensor) -> Tensor:
    return _average(map_BCHW) - map_BCHW.amin((2, 3))


def _spread(map_BCHW: Tensor) -> Tensor:
    centered_BCHW = map_BCHW - map_BCHW.mean((2, 3), keepdim=True)
    # The floor keeps the root's gradient finite where a channel is constant.
    return centered_BCHW.square().mean((2, 3)).clamp_min(1e-12).sqrt()


# (B, C, H, W) -> (B, C). The last three are deviations from the image's own mean: the highest
# value's, the lowest value's, and the root of the mean square.
POOLINGS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "average": _average,
    "max": _max,
    "above": _above,
    "below": _below,
    "spread": _spread,
}


class Pooled(nn.Module):
    """(B, C, H, W) -> (B, D): what chosen blocks of `trunk` give, pooled and put side by side.

    The trunk runs no further than the last of them, and what follows never learns.
    """

    def __init__(self, trunk: nn.Module, input_size: int, choices: Sequence[str]) -> None:
        """`choices` are BLOCK:POOLING, such as "0:above"; blocks count from 0 in their order.

        Raises:
            ConfigError: a choice is none, or the block is missing or gives no map to pool.
        """
        super().__init__()
        self.trunk = trunk
        self._by_block = _parsed(choices)
        found = blocks(trunk, input_size)
        last = len(found) - 1
        for block in self._by_block:
            if block > last:
                raise ConfigError(f"model.pooled: expected blocks 0..{last}, got {block}")
        self._modules_by_block = {block: found[block].modules[-1] for block in self._by_block}
        with torch.no_grad():
            self(torch.zeros(1, 3, input_size, input_size))

    def forward(self, image_BCHW: Tensor) -> Tensor:
        return torch.cat(self.parts(image_BCHW), dim=1)

    def parts(self, image_BCHW: Tensor) -> list[Tensor]:
        """What each choice gives, (B, C) each."""
        maps = _outputs(self.trunk, self._modules_by_block, image_BCHW)
        return [
            POOLINGS[pooling](_checked(maps[block], block))
            for block, poolings in self._by_block.items()
            for pooling in poolings
        ]


def all_choices(trunk: nn.Module, input_size: int) -> tuple[str, ...]:
    """Every pooling of every block that gives a map."""
    last_by_block = {place: b.modules[-1] for place, b in enumerate(blocks(trunk, input_size))}
    with torch.no_grad():
        outputs = _outputs(trunk, last_by_block, torch.zeros(1, 3, input_size, input_size))
    maps = [block for block, output in outputs.items() if _is_map(output)]
    return tuple(f"{block}:{pooling}" for block in sorted(maps) for pooling in POOLINGS)


class _AllThere(Exception):  # noqa: N818 - no error: how a hook ends a forward pass
    pass


def _outputs(
    trunk: nn.Module, modules_by_block: Mapping[int, nn.Module], image_BCHW: Tensor
) -> dict[int, Tensor]:
    """What these modules give while `trunk` runs, which it does until the last of them has."""
    outputs: dict[int, Tensor] = {}

    def keep(block: int) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_module: nn.Module, _given: object, output: Tensor) -> None:
            outputs[block] = output
            # An export insists on whole passes, and drops by itself what nothing depends on.
            if len(outputs) == len(modules_by_block) and not torch.compiler.is_exporting():
                raise _AllThere

        return hook

    with _ONE_AT_A_TIME:
        hooks = [m.register_forward_hook(keep(block)) for block, m in modules_by_block.items()]
        try:
            with suppress(_AllThere):
                trunk(image_BCHW)
        finally:
            for hook in hooks:
                hook.remove()
    return outputs


def _parsed(choices: Sequence[str]) -> dict[int, list[str]]:
    by_block: dict[int, list[str]] = defaultdict(list)
    for choice in choices:
        match = _CHOICE.fullmatch(choice)
        if match is None or match[2] not in POOLINGS:
            expected = f"BLOCK:POOLING with a pooling of {', '.join(POOLINGS)}"
            raise ConfigError(f"model.pooled: expected {expected}, got {choice!r}")
        by_block[int(match[1])].append(match[2])
    return dict(by_block)


def _checked(output: object, block: int) -> Tensor:
    if _is_map(output):
        return output
    got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    raise ConfigError(f"model.pooled: block {block}: expected a map (B, C, H, W), got {got}")


def _is_map(output: object) -> TypeGuard[Tensor]:
    return isinstance(output, Tensor) and output.ndim == _MAP_DIMENSIONS
