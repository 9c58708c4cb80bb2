"""The images of a study: source, unlabelled targets, and the test part of the target.

Shapes: N images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from exemplar_training.errors import ConfigError
from exemplar_training.fit.images import few_of_each, images_of

if TYPE_CHECKING:
    from exemplar_training.adaptation.study import Study
    from exemplar_training.data.image_set import ImageSet

PLAIN, SHIFTED, MISSING = "plain", "shifted", "missing"
_RARE = 5  # one of so many images of every second class is left in the shifted target


@dataclass(frozen=True)
class Domains:
    """`targets` are the unlabelled images by variant, PLAIN first.

    Their labels serve to make the variants, the oracle and the labelled exemplars; the runs of
    methods are not given them.
    """

    source: ImageSet
    targets: dict[str, ImageSet]
    test: ImageSet


def load(study: Study) -> Domains:
    """Raises ConfigError where the domains differ in their classes, DataError as loading does."""
    shared, classes = study.shared, study.shared.data.classes
    source = images_of(shared.data)
    whole = images_of(replace(shared.target, classes=classes))
    test = images_of(replace(study.test, classes=classes))
    test = few_of_each(test, study.test.n_shot, shared.seed)
    for name, images in (("shared.target", whole), ("test", test)):
        if images.class_names != source.class_names:
            expected = f"the classes of {source.name}"
            raise ConfigError(f"{name}: expected {expected}, got those of {images.name}")
    target = _some(whole, shared.target.n_shot, shared.seed)
    targets = {PLAIN: target}
    if study.is_shifted_too:
        targets[SHIFTED] = _shifted(target)
    if study.is_missing_too:
        targets[MISSING] = target.of_classes(range(1, len(target.class_names)))
    return Domains(source, targets, test)


def _some(images: ImageSet, count: int, seed: int) -> ImageSet:
    """`count` images whatever their class; 0: all."""
    order_N = np.random.default_rng((seed, 2)).permutation(len(images))
    return images.of(np.sort(order_N[: count or len(images)]))


def _shifted(images: ImageSet) -> ImageSet:
    """All images of the first, third, fifth.. class, and one of five of the others."""
    rows = [np.flatnonzero(images.class_ids_N == k) for k in range(len(images.class_names))]
    kept = [each[:: _RARE if k % 2 else 1] for k, each in enumerate(rows)]
    return images.of(np.sort(np.concatenate(kept)))
