"""The feature transform, chosen by few-shot episodes of base classes: a power, and centering.

Centering subtracts the base classes' mean embedding (Wang et al. 2019, SimpleShot,
https://arxiv.org/abs/1911.04623). Shapes: N images, D dim.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from exemplar_training.embedder import Embedder, powered, unit
from exemplar_training.errors import EvaluationError
from exemplar_training.evaluation.episodes import EpisodeSpec, sample
from exemplar_training.evaluation.heads import play
from exemplar_training.fit.answers import outputs
from exemplar_training.precision.gates import HEADS

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from exemplar_training.backbones import Backbone
    from exemplar_training.data.image_set import ImageSet
    from exemplar_training.evaluation.episodes import Episodes

_POWERS = (1.0, 0.75, 0.5, 0.25)
_N_WAY, _N_SHOTS, _N_QUERY = 5, (1, 5), 15
_EPISODES = 100  # for each of two folds, two shots and two heads
# Enough to rank eight candidates, in a minute on two cores.
_MOST_CLASSES, _MOST_IMAGES = 50, 40
_LEAST_CLASSES = 4  # two in each fold


@dataclass(frozen=True)
class Transform:
    """The best of `accuracy_by_candidate`, the shares of queries that each answers right."""

    name: str
    power: float
    center_D: Tensor | None
    accuracy_by_candidate: dict[str, float]
    data: str


def choose_transform(backbone: Backbone, base: ImageSet) -> Transform:
    """Tries each power with and without centering; the plainest of equals wins.

    A center comes from other classes than those that it is tried on, as the base classes' center
    will be used on novel ones. Powers are tried where no embedding is negative.

    Raises:
        EvaluationError: too few base classes, or too few images of one.
    """
    some = _some(base)
    folds = _folds(some)
    embeddings_ND = _plain_embeddings(backbone, some)
    powers = _POWERS if embeddings_ND.min() >= 0 else _POWERS[:1]
    candidates = [_Candidate(power, center) for center in (False, True) for power in powers]
    shares = [
        float(np.mean([_accuracy(embeddings_ND, fold, candidate) for fold in folds]))
        for candidate in candidates
    ]
    best = candidates[int(np.argmax(shares))]
    told = {it.name: round(share, 4) for it, share in zip(candidates, shares, strict=True)}
    center_D = unit(powered(embeddings_ND, best.power)).mean(0) if best.has_center else None
    return Transform(best.name, best.power, center_D, told, base.name)


@dataclass(frozen=True)
class _Candidate:
    power: float
    has_center: bool

    @property
    def name(self) -> str:
        return f"power {self.power:g}{', centered' if self.has_center else ''}"


def _some(base: ImageSet) -> ImageSet:
    """Images of at most 50 classes, at most 40 of each, drawn by a fixed seed."""
    rng = np.random.default_rng(0)
    class_ids = rng.permutation(np.unique(base.class_ids_N))[:_MOST_CLASSES]
    if len(class_ids) < _LEAST_CLASSES:
        raise EvaluationError(
            f"{base.name}: expected at least {_LEAST_CLASSES} base classes to choose a transform, "
            f"got {len(class_ids)}"
        )
    rows = [np.flatnonzero(base.class_ids_N == class_id) for class_id in class_ids]
    return base.of(np.concatenate([rng.permutation(it)[:_MOST_IMAGES] for it in rows]))


def _plain_embeddings(backbone: Backbone, images: ImageSet) -> Tensor:
    """Of unit length, without power; a power of them is parallel to that of longer ones."""
    plain = replace(backbone, spec=replace(backbone.spec, power=1.0))
    return torch.from_numpy(outputs(Embedder(plain), plain.spec.input_size, images, "transform"))


@dataclass(frozen=True)
class _Fold:
    """Episodes of some classes' images; those of the other classes give the center."""

    is_tried_N: NDArray[np.bool_]
    episodes: list[Episodes]


def _folds(images: ImageSet) -> list[_Fold]:
    class_ids = np.unique(images.class_ids_N)
    return [_fold(images, chosen) for chosen in (class_ids[::2], class_ids[1::2])]


def _fold(images: ImageSet, class_ids: NDArray[np.int64]) -> _Fold:
    is_tried_N = np.isin(images.class_ids_N, class_ids)
    tried = images.of(np.flatnonzero(is_tried_N))
    n_way = min(_N_WAY, len(class_ids))
    specs = [EpisodeSpec(n_way, n_shot, _N_QUERY, _EPISODES) for n_shot in _N_SHOTS]
    return _Fold(is_tried_N, [sample(tried, spec) for spec in specs])


def _accuracy(embeddings_ND: Tensor, fold: _Fold, candidate: _Candidate) -> float:
    """The mean over shots and heads."""
    transformed_ND = unit(powered(embeddings_ND, candidate.power))
    tried_ND = transformed_ND[fold.is_tried_N]
    if candidate.has_center:
        tried_ND = unit(tried_ND - transformed_ND[~fold.is_tried_N].mean(0))
    shares = [
        play(tried_ND.numpy(), episodes, options).accuracy_E.mean()
        for episodes in fold.episodes
        for options in HEADS
    ]
    return float(np.mean(shares))
