"""The papers by name: from a configuration to a method, and what its views need."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from exemplar_training.errors import ConfigError
from exemplar_training.self_supervised.byol import Byol
from exemplar_training.self_supervised.cpc import Cpc, cpc_numbers
from exemplar_training.self_supervised.method import Paper, SelfSupervised
from exemplar_training.self_supervised.moco import MOCO_NUMBERS, Moco
from exemplar_training.self_supervised.simclr import SimClr
from exemplar_training.self_supervised.simsiam import SimSiam
from exemplar_training.self_supervised.views import PAIR_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from exemplar_training.backbones import Backbone
    from exemplar_training.config import RunConfig
    from exemplar_training.fit.batches import Batches
    from exemplar_training.fit.distributed import World
    from exemplar_training.self_supervised.nearest import Asked


def self_supervised_method(
    backbone: Backbone, batches: Batches, config: RunConfig, world: World, asked: Asked | None
) -> SelfSupervised:
    """The method; what it learns beside the backbone starts by the seed.

    Raises:
        ConfigError: settings that do not fit the images, the batch or the backbone.
    """
    here = batches.batch // batches.shard.count
    if here == 1:
        expected = f"2 images or more a process with {config.method}"
        raise ConfigError(f"data.batch: expected {expected}, got 1")
    made: dict[str, Callable[[], Paper]] = {
        "simclr": partial(SimClr, backbone, batches, config, world),
        "moco": partial(Moco, backbone, batches, config, world),
        "byol": partial(Byol, backbone, batches, config),
        "simsiam": partial(SimSiam, backbone, batches, config),
        "cpc": partial(Cpc, backbone, config, world),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        paper = made[config.method]()
    return SelfSupervised(paper, batches, asked, config)


def numbers_of(config: RunConfig, input_size: int) -> int:
    """How many uniform numbers an image gets a step; raises as that."""
    if config.method == "cpc":
        return cpc_numbers(config, input_size)
    return MOCO_NUMBERS if config.method == "moco" else PAIR_NUMBERS
