"""What a support set's own exemplars, each left out in its turn, tell about answers to come.

Shapes: N exemplars, Q queries, L labels. `similarities` are cosines with the labels' prototypes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core import heads
from exemplar_server.errors import TooFewExemplarsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from exemplar_server.core.leave_one_out import LeftOut

# How much of the prototypes' mean is taken from each: what all labels share makes nothing familiar.
# 0.5 was best on Fashion-MNIST and letters, and on CIFAR-10's training images.
COMMON_SHARE = 0.5
# Shares of 0 happen where a label has no neighbor; they are not certain.
LEAST_SHARE = 0.02
SHARPNESS = np.geomspace(0.1, 10, 41)
# Few exemplars say little, and left out they do worse than queries, whose label has one exemplar
# more: as if so many had said that the shares are to be sharpened so much. Chosen on CIFAR-10's
# training images, Fashion-MNIST, letters and half of the emoji.
PRIOR_EXEMPLARS = 10.0
PRIOR_SHARPNESS = 4.0


@dataclass(frozen=True)
class Unfamiliar:
    """How familiar queries of no label are, estimated by holding out each label in its turn."""

    mean: float
    deviation: float
    label_count: int

    def threshold(self, false_accept_rate: float) -> float:
        """Reached by that share of them: a prediction interval, wider for fewer labels."""
        if not 0 < false_accept_rate < 1:
            return -math.inf if false_accept_rate else math.inf
        spread = math.sqrt(1 + 1 / self.label_count)
        quantile = _student_quantile(1 - false_accept_rate, max(self.label_count - 1, 2))
        return self.mean + quantile * spread * self.deviation


@dataclass(frozen=True)
class Calibration:
    """Of one head, never AUTO, on one snapshot; `note` says what is missing and why.

    `accuracy`, `known_N` (familiarity) and `wrongness_N` (1 minus the right label's probability)
    are of the exemplars whose label has another one.
    """

    head: str
    accuracy: float | None
    sharpness: float | None
    unfamiliar: Unfamiliar | None
    known_N: NDArray[np.float64]
    wrongness_N: NDArray[np.float64]
    note: str

    def probabilities(self, shares_QL: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Calibrated by temperature scaling (Guo et al. 2017, 4.2); the order stays."""
        return None if self.sharpness is None else _sharpened(shares_QL, self.sharpness)

    def true_accept_rate(self, threshold: float) -> float | None:
        """The share of the labels' own queries that stay above `threshold`."""
        return float((self.known_N >= threshold).mean()) if len(self.known_N) else None

    def label_set_bound(self, coverage: float) -> float:
        """Labels whose probability is 1 minus this or more hold the right one for `coverage`.

        Conformal prediction by leave-one-out: Vovk, Gammerman & Shafer 2005, chapter 4.

        Raises:
            TooFewExemplarsError: so few exemplars cannot promise it.
        """
        count = len(self.wrongness_N)
        rank = math.ceil((count + 1) * coverage)
        if rank > count:
            need = math.ceil(coverage / (1 - coverage))
            raise TooFewExemplarsError(
                f"coverage: {coverage:g} takes {need} exemplars of labels with two and more, "
                f"got {count}"
            )
        return float(np.partition(self.wrongness_N, rank - 1)[rank - 1])


def calibrate(own: LeftOut, head: str, k: int) -> Calibration:
    """`head` is never AUTO."""
    asked_N, truth_N = own.has_other_N, own.codes_N[own.has_other_N]
    similarities_NL = own.prototype_similarities_NL
    prototypes_LD = heads.prototypes(own.embeddings_ND, own.codes_N, own.label_count)
    gram_LL = (prototypes_LD @ prototypes_LD.T).astype(np.float64)
    has_labels = own.label_count > 1
    unfamiliar = _unfamiliar(similarities_NL, own.codes_N, gram_LL) if has_labels else None
    notes = [] if unfamiliar else ["no threshold: it takes a second label"]
    if not len(truth_N):
        note = "; ".join([*notes, "no probabilities: they take a label with two exemplars"])
        empty = np.zeros(0)
        return Calibration(head, None, None, unfamiliar, empty, empty, note)
    shares_NL = own.shares(head, k)[asked_N]
    sharpness = _fitted_sharpness(shares_NL, truth_N)
    right_N = _sharpened(shares_NL, sharpness)[np.arange(len(truth_N)), truth_N]
    return Calibration(
        head,
        float((shares_NL.argmax(axis=1) == truth_N).mean()),
        sharpness,
        unfamiliar,
        familiarity(similarities_NL[asked_N], gram_LL),
        1 - right_N,
        "; ".join(notes),
    )


def familiarity(
    similarities_QL: NDArray[np.float32] | NDArray[np.float64], gram_LL: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The best cosine with a prototype less COMMON_SHARE of all prototypes' mean, (Q,).

    `gram_LL` holds the prototypes' products.
    """
    dots_QL = similarities_QL - COMMON_SHARE * similarities_QL.mean(axis=1, keepdims=True)
    result_Q: NDArray[np.float64] = (dots_QL / _norms(gram_LL)).max(axis=1)
    return result_Q


def _norms(gram_LL: NDArray[np.float64]) -> NDArray[np.float64]:
    squares_L = (
        np.diagonal(gram_LL)
        - 2 * COMMON_SHARE * gram_LL.mean(axis=1)
        + COMMON_SHARE**2 * gram_LL.mean()
    )
    result_L: NDArray[np.float64] = np.sqrt(np.maximum(squares_L, 1e-12))
    return result_L


def _unfamiliar(
    similarities_NL: NDArray[np.float64], codes_N: NDArray[np.int64], gram_LL: NDArray[np.float64]
) -> Unfamiliar:
    """Each label's exemplars as queries to the other labels.

    One label fewer makes them look less familiar than strangers to all labels will: the step from
    one label more is what the best label adds to the second one, when any is as likely the best.
    """
    label_count = len(gram_LL)
    held_out = codes_N[:, None] == np.arange(label_count)
    rest_NL = np.where(held_out, 0, similarities_NL)
    mean_N1 = rest_NL.sum(axis=1, keepdims=True) / (label_count - 1)
    scaled_NL = (rest_NL - COMMON_SHARE * mean_N1) / _norms_without(gram_LL)[codes_N]
    ordered_NL = np.sort(np.where(held_out, -np.inf, scaled_NL), axis=1)
    best_N = ordered_NL[:, -1]
    has_second = label_count > 2  # noqa: PLR2004 - beside the label held out
    step = float((best_N - ordered_NL[:, -2]).mean()) / label_count if has_second else 0.0
    deviation = float(best_N.std(ddof=1))
    return Unfamiliar(float(best_N.mean()) + step, deviation, label_count)


def _norms_without(gram_LL: NDArray[np.float64]) -> NDArray[np.float64]:
    """As `_norms` where one label is held out: row l is without label l."""
    rest = len(gram_LL) - 1
    sums_L = gram_LL.sum(axis=1)
    diagonal_L = np.diagonal(gram_LL)
    mean_square_L = (sums_L.sum() - 2 * sums_L + diagonal_L) / rest**2
    squares_LL = (
        diagonal_L
        - 2 * COMMON_SHARE * (sums_L - gram_LL) / rest
        + COMMON_SHARE**2 * mean_square_L[:, None]
    )
    result_LL: NDArray[np.float64] = np.sqrt(np.maximum(squares_LL, 1e-12))
    return result_LL


def _fitted_sharpness(shares_NL: NDArray[np.float64], truth_N: NDArray[np.int64]) -> float:
    """The likeliest one of SHARPNESS, drawn to PRIOR_SHARPNESS by few exemplars."""
    rows = np.arange(len(truth_N))
    logs = [
        np.log(_sharpened(shares_NL, sharpness)[rows, truth_N]).sum()
        - PRIOR_EXEMPLARS * 0.5 * math.log(sharpness / PRIOR_SHARPNESS) ** 2
        for sharpness in SHARPNESS
    ]
    return float(SHARPNESS[int(np.argmax(logs))])


def _sharpened(shares_QL: NDArray[np.float64], sharpness: float) -> NDArray[np.float64]:
    least = LEAST_SHARE / shares_QL.shape[1]
    return heads.softmax(np.log(shares_QL + least), 1 / sharpness)


def _student_quantile(probability: float, freedom: int) -> float:
    """Student's t by the first terms of its expansion: Abramowitz & Stegun 1964, 26.7.5."""
    z = NormalDist().inv_cdf(probability)
    first = (z**3 + z) / (4 * freedom)
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    return z + first + second + third
