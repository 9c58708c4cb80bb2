"""The images of a run: loaded as its configuration names them, drawn, cut into batches."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from exemplar_training.data import folder
from exemplar_training.data.layout import DEFAULT_ROOT
from exemplar_training.errors import ConfigError
from exemplar_training.fit.augment import NUMBERS
from exemplar_training.fit.batches import Batches
from exemplar_training.layerwise.learners import layer_numbers
from exemplar_training.self_supervised.nearest import asked_of
from exemplar_training.self_supervised.papers import numbers_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from exemplar_training.config import DataConfig, RunConfig
    from exemplar_training.data.image_set import ImageSet
    from exemplar_training.fit.batches import Shard
    from exemplar_training.self_supervised.nearest import Asked

_TARGET_SEED = 2**31  # above all seeds: the domains are drawn and varied on their own


@dataclass(frozen=True)
class RunImages:
    """The images of a run and those of its target, with all labels that they came with."""

    images: ImageSet
    target: ImageSet | None

    @property
    def sha256(self) -> str:
        """A hash of the order of the classes: other images rarely have the same."""
        sets = [self.images] if self.target is None else [self.images, self.target]
        told = [each for one in sets for each in (*one.class_names, *one.class_ids_N.tolist())]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def batches(self, config: RunConfig, input_size: int, shard: Shard) -> Batches:
        """What the run is shown: no label of the target, which alone a source-free method sees."""
        data, seed = config.trained_on, config.seed
        seen = unlabelled(self.images) if config.is_unlabelled else self.images
        target = None
        if self.target is not None:
            few = few_of_each(unlabelled(self.target), config.target.n_shot, seed)
            batch = config.target.batch
            target = Batches(few, input_size, batch, seed + _TARGET_SEED, shard)
        few = few_of_each(seen, data.n_shot, seed)
        numbers = _numbers(config, input_size)
        return Batches(few, input_size, data.batch, seed, shard, target, numbers=numbers)

    def asked(self, config: RunConfig, input_size: int) -> Asked | None:
        """Those of them by whose labels a method without labels is watched, if there are labels."""
        if not config.is_self_supervised:
            return None
        n_shot, images = config.data.n_shot, self.images
        if n_shot:  # the same rows as without labels
            images = images.of(rows_of_each(np.zeros(len(images), np.int64), n_shot, config.seed))
        return asked_of(images, input_size, config.seed)


def images_of(data: DataConfig, *, has_classes: bool = True) -> ImageSet:
    """The images of the folder or the data set; `n_shot` is not looked at.

    A folder has a folder for each class, unless the method asks for none.

    Raises:
        DataError: they are not there, or not all of them.
        ConfigError: nothing is named, or no such class.
    """
    if not data.name and not data.root:
        raise ConfigError("data.name, data.root: expected the name of a set or a root, got neither")
    if data.name:
        root = Path(data.root) if data.root else DEFAULT_ROOT
        images = folder.load(root, data.name, data.parts or None)
    else:
        load = folder.load_folder if has_classes else folder.load_images
        images = load(Path(data.root))
    return _of_classes(images, data.classes) if data.classes else images


def images_of_run(config: RunConfig) -> RunImages:
    """What `config` names, all of it; raises as `images_of`."""
    images = images_of(config.trained_on, has_classes=config.has_classes)
    return RunImages(images, images_of(config.target) if config.has_target else None)


def _numbers(config: RunConfig, input_size: int) -> int:
    """How many uniform numbers the method asks for an image."""
    if config.is_stage:
        return layer_numbers(config)
    return numbers_of(config, input_size) if config.is_self_supervised else NUMBERS


def few_of_each(images: ImageSet, n_shot: int, seed: int) -> ImageSet:
    """`n_shot` images of each class, drawn by the seed, or all of a class with fewer; 0: all."""
    return images.of(rows_of_each(images.class_ids_N, n_shot, seed)) if n_shot else images


def rows_of_each(class_ids_N: NDArray[np.int64], n_shot: int, seed: int) -> NDArray[np.int64]:
    """The rows of `few_of_each`, in order."""
    order_N = np.random.default_rng((seed, 2)).permutation(len(class_ids_N))
    shuffled_N = class_ids_N[order_N]
    rows = [order_N[shuffled_N == class_id][:n_shot] for class_id in np.unique(shuffled_N)]
    return np.sort(np.concatenate(rows))


def unlabelled(images: ImageSet) -> ImageSet:
    """The images as if of one class: no method can read what it is not given."""
    class_ids_N = np.zeros_like(images.class_ids_N)
    return replace(images, class_ids_N=class_ids_N, class_names=(folder.UNLABELLED,))


def _of_classes(images: ImageSet, names: tuple[str, ...]) -> ImageSet:
    old_ids = images.ids_of(names, "data.classes")
    chosen = images.of_classes(old_ids)
    new_ids = np.full(len(images.class_names), -1)
    new_ids[old_ids] = np.arange(len(names))
    return replace(chosen, class_ids_N=new_ids[chosen.class_ids_N], class_names=names)
