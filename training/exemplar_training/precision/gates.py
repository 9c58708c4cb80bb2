"""What int8 may cost at most: a bound on every image's embedding, and one on few-shot accuracy.

Shapes: N images, D dim, E episodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core import heads
from exemplar_server.core.classify import ClassifyOptions
from exemplar_training.errors import ExportError
from exemplar_training.evaluation.episodes import EpisodeSpec, sample
from exemplar_training.evaluation.heads import head_name, play
from exemplar_training.evaluation.metrics import Interval, paired_difference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from exemplar_training.data.image_set import ImageSet

LEAST_COSINE = 0.97  # the 1st percentile
MOST_LOSS = 0.005  # of accuracy, even at the lower end of the interval
_PERCENTILE = 1
_N_WAY, _N_SHOT, _N_QUERY = 5, 5, 15
HEADS = (  # those that the service offers
    ClassifyOptions(head=heads.PROTOTYPE),
    ClassifyOptions(head=heads.KNN, k=heads.DEFAULT_K),
)


@dataclass(frozen=True)
class Cosines:
    """Of one precision's embeddings to another's, image by image."""

    mean: float
    percentile_1: float
    least: float


def cosines(embeddings_ND: NDArray[np.float32], expected_ND: NDArray[np.float32]) -> Cosines:
    """Both of unit length."""
    cosines_N = np.einsum("nd,nd->n", embeddings_ND, expected_ND, dtype=np.float64)
    percentile = float(np.percentile(cosines_N, _PERCENTILE))
    return Cosines(float(cosines_N.mean()), percentile, float(cosines_N.min()))


def gains(
    embeddings_ND: NDArray[np.float32], expected_ND: NDArray[np.float32], images: ImageSet
) -> dict[str, Interval]:
    """For each head, how much more accurate `embeddings_ND` is, in 600 episodes of 5 shots.

    5-way, or with all classes where there are fewer.

    Raises:
        EvaluationError: too few classes or images of a class.
    """
    n_way = min(_N_WAY, len(np.unique(images.class_ids_N)))
    episodes = sample(images, EpisodeSpec(n_way, _N_SHOT, _N_QUERY))
    return {
        head_name(options): paired_difference(
            play(embeddings_ND, episodes, options).accuracy_E,
            play(expected_ND, episodes, options).accuracy_E,
        )
        for options in HEADS
    }


def check(measured: Cosines, gained: dict[str, Interval]) -> None:
    """Raises ExportError where int8 costs too much."""
    if not measured.percentile_1 >= LEAST_COSINE:
        raise ExportError(
            f"int8: expected a cosine to fp32 of at least {LEAST_COSINE} for 99 of 100 unseen "
            f"images, got {measured.percentile_1:.4f}"
        )
    for head, gain in gained.items():
        if not gain.mean - gain.half > -MOST_LOSS:
            raise ExportError(
                f"int8: expected a few-shot loss below {100 * MOST_LOSS} points with 95 % "
                f"certainty, got {-100 * gain.mean:.2f} +- {100 * gain.half:.2f} ({head})"
            )
