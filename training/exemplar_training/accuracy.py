"""Few-shot accuracy of a model file, for its manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from exemplar_training.evaluation.embeddings import by_model_file
from exemplar_training.evaluation.heads import HEADS, head_name, play
from exemplar_training.evaluation.trial import Trial, draw, images_of

if TYPE_CHECKING:
    from pathlib import Path

_N_WAY, _N_SHOTS, _N_QUERY = 5, (1, 5), 15
_EPISODES = 600


def measured_accuracy(model_path: Path, side: int, data: str, root: Path) -> dict[str, float]:
    """The share of right answers by protocol, such as "cifar10, 5-way 1-shot, prototype".

    As `exemplar-train evaluate` measures: the part "test" where there is one, n_way at most the
    number of classes.

    Raises:
        TrainingError: no such data, or no such episodes can be drawn from them.
    """
    n_way = min(_N_WAY, len(np.unique(images_of(data, root).class_ids_N)))
    drawn = draw(Trial(data, root, None, n_way, _N_SHOTS, _N_QUERY, _EPISODES, seed=0))
    embeddings_ND = by_model_file(model_path, side, drawn.images, "accuracy")
    return {
        f"{drawn.images.name}, {n_way}-way {n_shot}-shot, {head_name(options)}": round(
            float(play(embeddings_ND, episodes, options).accuracy_E.mean()), 4
        )
        for n_shot, episodes in zip(_N_SHOTS, drawn.episodes, strict=True)
        for options in HEADS
    }
