"""What a run is worth: on the target's test images, and what its unlabelled images say of it.

Shapes: N images, C classes, X exemplars, D dim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from exemplar_server.core import heads
from exemplar_server.core.classify import ClassifyOptions
from exemplar_training.adaptation.entropy import diversity, entropy
from exemplar_training.evaluation.heads import scores
from exemplar_training.evaluation.metrics import confusion, recalls
from exemplar_training.fit.answers import embeddings, logits
from exemplar_training.fit.images import rows_of_each

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from exemplar_training.data.image_set import ImageSet

_DRAWS = 20  # of labelled exemplars: one draw of one image a class says little
_PROTOTYPE = ClassifyOptions(head=heads.PROTOTYPE)


@dataclass(frozen=True)
class Score:
    """Shares in [0, 1]: of all test images, and of each class's."""

    accuracy: float
    recall_C: tuple[float, ...]


def score(run: Path, test: ImageSet) -> Score:
    """By the run's own head."""
    return _score([logits(run, test).argmax(axis=1)], test)


def exemplar_score(run: Path, pool: ImageSet, test: ImageSet, n_shot: int) -> Score:
    """By the server's prototypes of `n_shot` labelled exemplars a class, over 20 draws of them."""
    pool_ND, test_ND = embeddings(run, pool), embeddings(run, test)
    answers = []
    for seed in range(_DRAWS):
        rows_X = rows_of_each(pool.class_ids_N, n_shot, seed)
        said = scores(pool_ND[rows_X], pool.class_ids_N[rows_X], test_ND, _PROTOTYPE)
        answers.append(said.scores_QL.argmax(axis=1))
    return _score(answers, test)


def criterion(run: Path, target: ImageSet) -> float:
    """How sure and how diverse the predictions on unlabelled images are, in nats; more is better.

    The mutual information between image and prediction: Bridle et al. 1991, "Unsupervised
    Classifiers, Mutual Information and Phantom Targets"; among the validators of Musgrave et al.
    2022, https://arxiv.org/abs/2208.07360. Sureness alone prefers a network that says one class
    of everything; so does soft neighborhood density (https://arxiv.org/abs/2108.10860).
    """
    logits_NC = torch.from_numpy(logits(run, target))
    return float(diversity(logits_NC) - entropy(logits_NC))


def _score(answers: list[NDArray[np.int64]], test: ImageSet) -> Score:
    truth, class_count = np.tile(test.class_ids_N, len(answers)), len(test.class_names)
    confusion_CC = confusion(truth, np.concatenate(answers), class_count)
    accuracy = float(np.diagonal(confusion_CC).sum() / confusion_CC.sum())
    return Score(accuracy, tuple(recalls(confusion_CC).tolist()))
