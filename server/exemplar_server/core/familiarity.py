"""How much queries are like what a support set knows, and how much those of no label would be.

Shapes: N exemplars, B exemplars of one block, Q queries, L labels, P base classes, D dim, S dim of
the base classes' span. `similarities` are cosines with the labels' prototypes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core.leave_one_out import BLOCK

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from exemplar_server.core.base_prototypes import BasePrototypes
    from exemplar_server.core.leave_one_out import LeftOut

# How much of the prototypes' mean is taken from each: what all labels share makes nothing familiar.
# 0.5 was best on Fashion-MNIST and letters, and on CIFAR-10's training images.
COMMON_SHARE = 0.5
# No familiarity is so high or low: a cosine less the pull of at most 1.5.
BEYOND = 3.0


@dataclass(frozen=True)
class Familiarity:
    """The best cosine with a prototype, less what is common to all, less what base classes pull.

    Prototypes are as `base` sees and mixes them. The pull is that of base classes that no label is
    like, as a cohort's in speaker verification.
    """

    base: BasePrototypes
    prototypes_LS: NDArray[np.float64]

    def of(self, queries_QD: NDArray[np.float32]) -> NDArray[np.float64]:
        """Only comparable within one support set at one revision, (Q,)."""
        seen_QS = self.base.seen(queries_QD)
        return self.of_seen(seen_QS, seen_QS @ self.prototypes_LS.T)

    def of_seen(
        self, seen_QS: NDArray[np.float32], similarities_QL: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        dots_QL = similarities_QL - COMMON_SHARE * similarities_QL.mean(axis=1, keepdims=True)
        best_Q = (dots_QL / self._norms_L).max(axis=1)
        known_1P = self.reach_LP.max(axis=0, keepdims=True)
        result_Q: NDArray[np.float64] = best_Q - self.base.pull(
            self.base.similarities(seen_QS), known_1P
        )
        return result_Q

    @cached_property
    def gram_LL(self) -> NDArray[np.float64]:
        """The prototypes' products with each other."""
        result_LL: NDArray[np.float64] = self.prototypes_LS @ self.prototypes_LS.T
        return result_LL

    @cached_property
    def reach_LP(self) -> NDArray[np.float32]:
        """The prototypes' similarities with the base classes."""
        return self.base.similarities(self.prototypes_LS.astype(np.float32))

    @cached_property
    def _norms_L(self) -> NDArray[np.float64]:
        squares_L = (
            np.diagonal(self.gram_LL)
            - 2 * COMMON_SHARE * self.gram_LL.mean(axis=1)
            + COMMON_SHARE**2 * self.gram_LL.mean()
        )
        result_L: NDArray[np.float64] = np.sqrt(np.maximum(squares_L, 1e-12))
        return result_L


@dataclass(frozen=True)
class Unfamiliar:
    """How familiar queries of no label are, and how familiar those of the labels (`known_N`).

    The first is estimated by holding out each label in its turn, the second by leaving out each
    exemplar whose label has another one.
    """

    mean: float
    deviation: float
    label_count: int
    known_N: NDArray[np.float64]

    def threshold(self, false_accept_rate: float) -> float:
        """Reached by that share of those of no label: a prediction interval, wide for few."""
        if not 0 < false_accept_rate < 1:
            return -BEYOND if false_accept_rate else BEYOND
        spread = math.sqrt(1 + 1 / self.label_count)
        quantile = student_quantile(1 - false_accept_rate, max(self.label_count - 1, 2))
        return self.mean + quantile * spread * self.deviation

    def true_accept_rate(self, threshold: float) -> float | None:
        """The share of the labels' own queries that stay above `threshold`."""
        return float((self.known_N >= threshold).mean()) if len(self.known_N) else None


@dataclass(frozen=True)
class OpenSet:
    """What tells queries of the labels from others. No `strange` where there is one label only."""

    known: Familiarity
    strange: Unfamiliar | None


def familiarity(prototypes_LD: NDArray[np.float32], base: BasePrototypes) -> Familiarity:
    """By a support set's prototypes, of unit length."""
    return Familiarity(base, base.mixed(base.seen(prototypes_LD).astype(np.float64)))


def unfamiliar(own: LeftOut, base: BasePrototypes) -> Unfamiliar | None:
    """None where there is no second label to hold out."""
    if own.label_count == 1:
        return None
    known = familiarity(own.prototypes_LD, base)
    seen_NS = base.seen(own.embeddings_ND)
    similarities_NL = seen_NS @ known.prototypes_LS.T
    strange_N = _held_out(known, seen_NS, similarities_NL, own.codes_N)
    for rows_B, own_BD in own.own_prototypes():
        own_BS = familiarity(own_BD.astype(np.float32), base).prototypes_LS
        similarities_NL[rows_B, own.codes_N[rows_B]] = (own_BS * seen_NS[rows_B]).sum(axis=1)
    asked_N = own.has_other_N
    known_N = known.of_seen(seen_NS[asked_N], similarities_NL[asked_N])
    return Unfamiliar(
        float(strange_N.mean()), float(strange_N.std(ddof=1)), own.label_count, known_N
    )


def _held_out(
    known: Familiarity,
    seen_NS: NDArray[np.float32],
    similarities_NL: NDArray[np.float64],
    codes_N: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Each label's exemplars as queries to the other labels, (N,).

    One label fewer makes them look less familiar than strangers to all labels will: the step from
    one label more is what the best label adds to the second one, when any is as likely the best.
    """
    label_count = len(known.prototypes_LS)
    held_out = codes_N[:, None] == np.arange(label_count)
    rest_NL = np.where(held_out, 0, similarities_NL)
    mean_N1 = rest_NL.sum(axis=1, keepdims=True) / (label_count - 1)
    scaled_NL = (rest_NL - COMMON_SHARE * mean_N1) / _norms_without(known.gram_LL)[codes_N]
    best_N2 = np.partition(np.where(held_out, -np.inf, scaled_NL), -2, axis=1)[:, -2:]
    has_second = label_count > 2  # noqa: PLR2004 - beside the label held out
    step = float((best_N2[:, 1] - best_N2[:, 0]).mean()) / label_count if has_second else 0.0
    return best_N2[:, 1] + step - _pull_without(known, seen_NS, codes_N)


def _pull_without(
    known: Familiarity, seen_NS: NDArray[np.float32], codes_N: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The pull of base classes where the labels known are the others, (N,)."""
    best_P = known.reach_LP.argmax(axis=0)
    first_P, second_P = np.sort(known.reach_LP, axis=0)[:-3:-1]
    pull_N = np.zeros(len(seen_NS))
    for start in range(0, len(seen_NS), BLOCK):
        rows = slice(start, start + BLOCK)
        rest_BP = np.where(best_P == codes_N[rows, None], second_P, first_P)
        pull_N[rows] = known.base.pull(known.base.similarities(seen_NS[rows]), rest_BP)
    return pull_N


def _norms_without(gram_LL: NDArray[np.float64]) -> NDArray[np.float64]:
    """The norms of the prototypes less the common share where row l is without label l."""
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


def student_quantile(probability: float, freedom: int) -> float:
    """Student's t by the first terms of its expansion: Abramowitz & Stegun 1964, 26.7.5."""
    z = NormalDist().inv_cdf(probability)
    first = (z**3 + z) / (4 * freedom)
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    return z + first + second + third
