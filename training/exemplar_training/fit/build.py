"""From a configuration to the parts that train: backbone, head, method."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from exemplar_training import backbones
from exemplar_training.adaptation.adabn import AdaBN
from exemplar_training.adaptation.adversarial import Cdan, Dann
from exemplar_training.adaptation.coral import Coral
from exemplar_training.adaptation.mcc import Mcc
from exemplar_training.adaptation.mmd import Mmd
from exemplar_training.adaptation.neighbors import Neighbors
from exemplar_training.adaptation.shot import Shot
from exemplar_training.adaptation.tent import Tent
from exemplar_training.adaptation.two_domains import TwoDomains
from exemplar_training.adapter import with_adapter
from exemplar_training.errors import ConfigError
from exemplar_training.fit.distributed import World
from exemplar_training.fit.head import shape_of
from exemplar_training.fit.supervised import Supervised
from exemplar_training.layerwise.checks import STACKS
from exemplar_training.layerwise.decoders import Decoders
from exemplar_training.layerwise.method import layerwise_method
from exemplar_training.pooling import Pooled
from exemplar_training.self_supervised.papers import self_supervised_method
from exemplar_training.small_cnn import NAME as SMALL_CNN
from exemplar_training.small_cnn import small_cnn
from exemplar_training.stacks import stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from exemplar_training.backbones import Backbone
    from exemplar_training.config import ModelConfig, RunConfig
    from exemplar_training.fit.batches import Batches
    from exemplar_training.fit.method import Method
    from exemplar_training.self_supervised.nearest import Asked

UNTRAINED = "none"  # as model.weights
_ALONE = World(torch.device("cpu"))


def backbone_of(model: ModelConfig, seed: int) -> Backbone:
    """The backbone before training: published, from a file, or untrained by the seed.

    Raises:
        TrainingError: there is no such backbone, or its weights do not load.
    """
    built = _built(model, seed)
    if model.pooled:
        trunk = Pooled(built.trunk, built.spec.input_size, model.pooled).eval()
        built = replace(built, trunk=trunk, spec=replace(built.spec, power=1.0))
    return with_adapter(built, model.adapter, model.adapter_width, seed) if model.adapter else built


def _built(model: ModelConfig, seed: int) -> Backbone:
    if model.backbone == SMALL_CNN:
        sizes = {"input_size": model.input_size, "dim": model.dim}
        return small_cnn(**{name: size for name, size in sizes.items() if size}, seed=seed)
    if model.backbone in STACKS:
        return stack(model, seed)
    if model.weights == UNTRAINED:
        built = backbones.untrained(model.backbone, seed)
    else:
        built = _published(model)
    spec = replace(built.spec, input_size=model.input_size or built.spec.input_size)
    return replace(built, spec=spec, classifier=None)


def published_head(model: ModelConfig) -> nn.Module:
    """The layer from the backbone's embedding to its own classes, such as ImageNet's 1000.

    Raises:
        ConfigError: the backbone has none.
    """
    is_own = model.backbone in (SMALL_CNN, *STACKS)
    has_weights = not is_own and model.weights != UNTRAINED
    classifier = _published(model).classifier if has_weights else None
    layers = [] if classifier is None else list(classifier.modules())
    heads = [layer for layer in layers if isinstance(layer, nn.Linear)]
    if not heads:
        expected = "a run to start from, as the backbone has no classifier of its own"
        raise ConfigError(f"model.init: expected {expected}, got {model.init!r}")
    return copy.deepcopy(heads[-1])


def method_of(
    config: RunConfig,
    backbone: Backbone,
    head: nn.Module | None,
    batches: Batches,
    world: World = _ALONE,
    *,
    asked: Asked | None = None,
) -> Method:
    """The method that `config` names, of a backbone, a head on its embedding and batches.

    `world` is for methods whose negatives are those of all processes. `asked` are labelled images
    that a method without labels is watched by.

    Raises:
        ConfigError: the method does not train such a backbone.
    """
    if isinstance(head, Decoders):
        return layerwise_method(backbone, head, batches, config)
    if head is None:
        return _without_head(config, backbone, batches, world, asked)
    if config.method in ("adabn", "tent"):
        return (AdaBN if config.method == "adabn" else Tent)(backbone, head)
    if config.method == "shot":
        return Shot(backbone, head, batches, config)
    if config.has_target:
        return TwoDomains(backbone, head, _between(config, head), config)
    return Supervised(backbone, head, batches, config)


def _without_head(
    config: RunConfig, backbone: Backbone, batches: Batches, world: World, asked: Asked | None
) -> Method:
    if config.is_self_supervised:
        return self_supervised_method(backbone, batches, config, world, asked)
    return Neighbors(backbone, batches, config)


def _between(config: RunConfig, head: nn.Module) -> nn.Module:
    """The loss between the domains; what it learns itself starts by the seed."""
    class_count, dim = shape_of(head)
    made: dict[str, Callable[[], nn.Module]] = {
        "coral": Coral,
        "mmd": Mmd,
        "mcc": Mcc,
        "dann": partial(Dann, dim),
        "cdan": partial(Cdan, dim, class_count),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return made[config.method]()


def _published(model: ModelConfig) -> Backbone:
    return backbones.build(model.backbone, Path(model.weights) if model.weights else None)
