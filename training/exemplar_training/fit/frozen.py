"""Which part of a backbone learns: nothing of it, its last block, or all at falling rates.

Frozen means three things at once: no gradient, evaluation mode (or BatchNorm's statistics move)
and no place in the optimizer (or weight decay moves it). Shapes: B batch, C channels, H, W.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from exemplar_training.fit.method import Group

if TYPE_CHECKING:
    from exemplar_training.config import Trained

_CONTAINERS = (nn.Sequential, nn.ModuleList)


@dataclass(frozen=True)
class Block:
    """Modules that freeze and learn together: a residual block, or a layer and its norm."""

    modules: tuple[nn.Module, ...]

    def parameters(self) -> list[nn.Parameter]:
        return [each for module in self.modules for each in module.parameters()]


@dataclass(frozen=True)
class Learning:
    """What learns of `trunk`: `blocks`, in the order in which an image passes them."""

    trunk: nn.Module
    blocks: tuple[Block, ...]

    def train(self) -> None:
        """Training mode where it learns, evaluation mode where it is frozen."""
        self.trunk.eval()
        for block in self.blocks:
            for module in block.modules:
                module.train()

    def groups(self, layer_decay: float) -> list[Group]:
        """A group a block: the last learns at 1, each block before it at `layer_decay` of that.

        Clark et al. 2020, "ELECTRA", https://arxiv.org/abs/2003.10555, appendix A.
        """
        last = len(self.blocks) - 1
        return [
            Group(block.parameters(), layer_decay ** (last - place))
            for place, block in enumerate(self.blocks)
        ]


def learning(trunk: nn.Module, trained: Trained, input_size: int) -> Learning:
    """Freezes what `trained` leaves out; what an image does not pass through is frozen always."""
    found = blocks(trunk, input_size)
    chosen = {"head": [], "last_block": found[-1:], "all": found}[trained]
    trunk.requires_grad_(requires_grad=False)
    for block in chosen:
        for parameter in block.parameters():
            parameter.requires_grad = True
    return Learning(trunk, tuple(chosen))


def blocks(trunk: nn.Module, input_size: int) -> list[Block]:
    """The blocks in the order in which an image passes them.

    A block is a child with parameters; wrappers and plain containers are opened, and a norm joins
    the layer before it.
    """
    calls = _calls(trunk, input_size)
    parts = [(_first_call(part, calls), part) for part in _opened(trunk)]
    passed = [part for call, part in sorted(parts, key=lambda pair: pair[0]) if call < len(calls)]
    found: list[Block] = []
    for part in passed:
        if found and isinstance(part, nn.modules.batchnorm._NormBase | nn.LayerNorm):  # noqa: SLF001
            found[-1] = Block((*found[-1].modules, part))
        else:
            found.append(Block((part,)))
    return found


def _opened(module: nn.Module) -> list[nn.Module]:
    children = [child for child in module.children() if any(True for _ in child.parameters())]
    opened: list[nn.Module] = []
    for child in children:
        is_wrapped = len(children) == 1 and any(True for _ in child.children())
        opened += _opened(child) if is_wrapped or type(child) in _CONTAINERS else [child]
    return opened


def _calls(trunk: nn.Module, input_size: int) -> dict[nn.Module, int]:
    """Each module with the place of its first call, for one image of zeros."""
    calls: dict[nn.Module, int] = {}

    def note(module: nn.Module, *_: object) -> None:
        calls.setdefault(module, len(calls))

    hooks = [module.register_forward_hook(note) for module in trunk.modules()]
    device = next(trunk.parameters()).device
    was_training = trunk.training
    with torch.no_grad():
        trunk.eval()(torch.zeros(1, 3, input_size, input_size, device=device))
    trunk.train(was_training)
    for hook in hooks:
        hook.remove()
    return calls


def _first_call(part: nn.Module, calls: dict[nn.Module, int]) -> int:
    """The first call inside `part`; the number of all calls where there was none."""
    return min((calls.get(module, len(calls)) for module in part.modules()), default=len(calls))
