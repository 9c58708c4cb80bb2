"""From a configuration to the parts that train: backbone, method, images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from exemplar_training import backbones
from exemplar_training.fit.supervised import Supervised
from exemplar_training.small_cnn import NAME as SMALL_CNN
from exemplar_training.small_cnn import small_cnn

if TYPE_CHECKING:
    from exemplar_training.backbones import Backbone
    from exemplar_training.config import ModelConfig, RunConfig
    from exemplar_training.data.image_set import ImageSet
    from exemplar_training.fit.method import Method

UNTRAINED = "none"  # as model.weights


def backbone_of(model: ModelConfig, seed: int) -> Backbone:
    """The backbone before training: published, from a file, or untrained by the seed.

    Raises:
        TrainingError: there is no such backbone, or its weights do not load.
    """
    if model.backbone == SMALL_CNN:
        sizes = {"input_size": model.input_size, "dim": model.dim}
        return small_cnn(**{name: size for name, size in sizes.items() if size}, seed=seed)
    if model.weights == UNTRAINED:
        built = backbones.untrained(model.backbone, seed)
    else:
        built = backbones.build(model.backbone, Path(model.weights) if model.weights else None)
    spec = replace(built.spec, input_size=model.input_size or built.spec.input_size)
    return replace(built, spec=spec, classifier=None)


def method_of(config: RunConfig, backbone: Backbone, class_count: int) -> Method:
    """The method that `config` names; supervised training is the only one so far."""
    return Supervised(backbone, class_count, config)


def few_of_each(images: ImageSet, n_shot: int, seed: int) -> ImageSet:
    """`n_shot` images of each class, drawn by the seed, or all of a class with fewer; 0: all."""
    if not n_shot:
        return images
    order_N = np.random.default_rng((seed, 2)).permutation(len(images))
    shuffled_N = images.class_ids_N[order_N]
    rows = [order_N[shuffled_N == class_id][:n_shot] for class_id in np.unique(shuffled_N)]
    return images.of(np.sort(np.concatenate(rows)))
