"""Forward selection of poolings, judged by the server's prototypes in cross-validation.

Shapes: N images, B batch, H height, W width, C channels, D dim of a choice, P of all chosen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from exemplar_server.core import heads
from exemplar_server.core.classify import ClassifyOptions
from exemplar_training.adapter import Adapter
from exemplar_training.errors import ConfigError
from exemplar_training.evaluation.heads import scores
from exemplar_training.evaluation.metrics import confusion, recalls
from exemplar_training.fit.answers import outputs
from exemplar_training.fit.build import backbone_of
from exemplar_training.fit.images import few_of_each
from exemplar_training.fit.network import Network
from exemplar_training.pooling import all_choices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from exemplar_training.config import ModelConfig, RunConfig
    from exemplar_training.data.image_set import ImageSet

FOLDS = 5
_LEAST_GAIN = 0.005  # of mean recall: less is noise on a few dozen images
_HEAD = ClassifyOptions(head=heads.PROTOTYPE)


@dataclass(frozen=True)
class Found:
    """The best choices, BLOCK:POOLING, and their cross-validated mean recall in [0, 1]."""

    input_size: int
    choices: tuple[str, ...]
    recall: float


def search(
    config: RunConfig, images: ImageSet, input_sizes: Sequence[int], say: Callable[[str], None]
) -> Found:
    """The best of all input sizes; `say` gets a line for each choice that helped.

    Raises:
        ConfigError: fewer images of a class than folds.
        TrainingError: no such backbone, or an image that cannot be decoded.
    """
    few = few_of_each(images, config.data.n_shot, config.seed)
    _check_enough(few)
    found = [
        _selected(_pooled(replace(config.model, input_size=size), few, config.seed), few, size, say)
        for size in input_sizes or [config.model.input_size]
    ]
    return max(found, key=lambda each: each.recall)


def _check_enough(images: ImageSet) -> None:
    counts = np.bincount(images.class_ids_N, minlength=len(images.class_names))
    if counts.min() < FOLDS:
        name = images.class_names[int(counts.argmin())]
        raise ConfigError(
            f"data.n_shot: expected at least {FOLDS} images of each class, "
            f"got {counts.min()} of {name!r}"
        )


def _pooled(model: ModelConfig, images: ImageSet, seed: int) -> dict[str, NDArray[np.float32]]:
    """Every choice with what it gives for all images, (N, D)."""
    plain = backbone_of(replace(model, pooled=(), adapter=0), seed)
    choices = all_choices(plain.trunk, plain.spec.input_size)
    pooled = backbone_of(replace(model, pooled=choices, adapter=0), seed)
    size = plain.spec.input_size
    with torch.no_grad():
        parts = pooled.trunk.parts(torch.zeros(1, 3, size, size))  # type: ignore[operator]
    ends = np.cumsum([part.shape[1] for part in parts])[:-1]
    all_NP = outputs(Network(pooled, nn.Identity()), size, images, f"{size} pixels")
    return dict(zip(choices, np.split(all_NP, ends, axis=1), strict=True))


def _selected(
    parts: Mapping[str, NDArray[np.float32]],
    images: ImageSet,
    input_size: int,
    say: Callable[[str], None],
) -> Found:
    """Adds the choice that helps most for as long as one does."""
    chosen: list[str] = []
    best = 0.0
    while len(chosen) < len(parts):
        others = [choice for choice in parts if choice not in chosen]
        gained = {each: _recall([parts[c] for c in (*chosen, each)], images) for each in others}
        added = max(others, key=gained.__getitem__)
        if gained[added] < best + _LEAST_GAIN:
            break
        chosen.append(added)
        best = gained[added]
        say(f"{input_size:>5} pixels  {' '.join(chosen):<50} {100 * best:.1f}")
    return Found(input_size, tuple(chosen), best)


def _recall(parts: Sequence[NDArray[np.float32]], images: ImageSet) -> float:
    """The mean over the classes of the share that prototypes of the other folds answer right."""
    joined_NP = np.concatenate(parts, axis=1)
    unit_NP = joined_NP / np.linalg.norm(joined_NP, axis=1, keepdims=True).clip(1e-30)
    class_ids_N = images.class_ids_N
    fold_N = _folds(class_ids_N)
    answer_N = np.empty_like(class_ids_N)
    for fold in range(FOLDS):
        is_held = fold_N == fold
        taught_ND, asked_ND = _standardized(unit_NP[~is_held], unit_NP[is_held])
        said = scores(taught_ND, class_ids_N[~is_held], asked_ND, _HEAD)
        answer_N[is_held] = said.scores_QL.argmax(axis=1)
    return float(recalls(confusion(class_ids_N, answer_N, len(images.class_names))).mean())


def _standardized(
    taught_NP: NDArray[np.float32], asked_NP: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """As an adapter begins, at unit length."""
    taught, asked = torch.from_numpy(taught_NP), torch.from_numpy(asked_NP)
    adapter = Adapter(taught.shape[1], 1, 0)
    adapter.measure(taught)
    one, other = (
        torch.nn.functional.normalize(adapter.standardized(each)) for each in (taught, asked)
    )
    return one.numpy(), other.numpy()


def _folds(class_ids_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """A fold for each image, each class spread evenly in the order of its images."""
    fold_N = np.empty_like(class_ids_N)
    for class_id in np.unique(class_ids_N):
        rows = np.flatnonzero(class_ids_N == class_id)
        fold_N[rows] = np.arange(len(rows)) % FOLDS
    return fold_N
