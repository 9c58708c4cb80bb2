"""Data-parallel training by torchrun: a process a shard, gradients averaged by DDP.

The only file that imports torch.distributed. Shapes: B rows of this process, D dim.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from exemplar_training.errors import ConfigError
from exemplar_training.fit.batches import Shard

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

_TORCHRUN = "TORCHELASTIC_RUN_ID"  # torchrun sets it for the processes that it starts


@dataclass(frozen=True)
class World:
    """This process among those that train together; alone without torchrun."""

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0

    @property
    def shard(self) -> Shard:
        return Shard(self.rank, self.size)

    def wrapped(self, module: nn.Module) -> nn.Module:
        """`module` with gradients averaged over the processes; its weights become rank 0's."""
        has_gradients = any(each.requires_grad for each in module.parameters())
        is_alone = self.size == 1 or not has_gradients
        return module if is_alone else DistributedDataParallel(module)

    def any(self, is_so: bool) -> bool:
        """Whether it is so in any process; all of them must ask."""
        if self.size == 1:
            return is_so
        answer = torch.tensor(int(is_so), device=self.device)
        distributed.all_reduce(answer, distributed.ReduceOp.MAX)
        return bool(answer.item())

    def mean(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """The mean over the processes of each number; all of them must ask, with equal names."""
        every = self.gathered(dict(numbers))
        return {name: sum(each[name] for each in every) / self.size for name in numbers}

    def joined(self, rows_BD: Tensor) -> Tensor:
        """The rows of all processes, by rank, equally many of each; all of them must ask.

        A row's gradient is the sum of those that it gets in all processes.
        """
        if self.size == 1:
            return rows_BD
        joined: Tensor = _Joined.apply(rows_BD, self.rank, self.size)  # type: ignore[no-untyped-call]
        return joined

    def gathered(self, value: Any) -> list[Any]:
        """The value of each process, by rank; all of them must ask."""
        values: list[Any] = [value] * self.size
        if self.size > 1:
            distributed.all_gather_object(values, value)
        return values


class _Joined(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, rows_BD: Tensor, rank: int, size: int) -> Tensor:
        context.first, context.count = rank * len(rows_BD), len(rows_BD)
        parts = [torch.empty_like(rows_BD) for _ in range(size)]
        distributed.all_gather(parts, rows_BD.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        return total[context.first : context.first + context.count], None, None


@contextmanager
def world(device: str) -> Iterator[World]:
    """The processes that torchrun started, over nccl on GPUs and gloo on CPUs; else one.

    `device` is "cpu", "cuda" or "auto", which takes GPUs where there are some.

    Raises:
        ConfigError: "cuda" without a GPU.
    """
    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise ConfigError("compute.device: expected cpu or auto on a machine without GPU, got cuda")
    kind = "cuda" if has_gpu and device != "cpu" else "cpu"
    if _TORCHRUN not in os.environ:
        yield World(torch.device(kind))
        return
    chosen = _own_device(kind)
    distributed.init_process_group(
        "nccl" if kind == "cuda" else "gloo", device_id=chosen if kind == "cuda" else None
    )
    try:
        yield World(chosen, distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def _own_device(kind: str) -> torch.device:
    if kind == "cpu":
        return torch.device("cpu")
    chosen = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(chosen)
    return chosen
