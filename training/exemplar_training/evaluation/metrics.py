"""Numbers about answers, and how sure they are.

Shapes: E episodes, Q queries, C classes, B bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NORMAL_95 = 1.96  # standard errors on each side of the mean
CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Interval:
    """A mean over episodes; the truth is within `half` of it in 95 % of repetitions.

    Of the draw of episodes alone: other images or another training run may differ by more.
    """

    mean: float
    half: float


def interval(values_E: NDArray[np.float64]) -> Interval:
    """Mean +- 1.96 standard errors (sample deviation, n - 1); NaN for fewer than 2 values."""
    if len(values_E) < 2:  # noqa: PLR2004 - a deviation needs two
        return Interval(float(np.mean(values_E)), float("nan"))
    error = values_E.std(ddof=1) / np.sqrt(len(values_E))
    return Interval(float(values_E.mean()), float(_NORMAL_95 * error))


def paired_difference(values_E: NDArray[np.float64], other_E: NDArray[np.float64]) -> Interval:
    """The mean of `values_E - other_E` over the same episodes.

    Narrower than two intervals side by side: what makes an episode hard is hard for both.
    """
    return interval(values_E - other_E)


def auroc(known_Q: NDArray[np.float32], unknown_Q: NDArray[np.float32]) -> float:
    """The chance that a known query is more similar than an unknown one; ties count half.

    The area under the ROC curve, as the Mann-Whitney statistic.
    """
    ordered = np.sort(unknown_Q)
    below_Q = np.searchsorted(ordered, known_Q, "left")
    not_above_Q = np.searchsorted(ordered, known_Q, "right")
    return float((below_Q + not_above_Q).mean() / (2 * len(unknown_Q)))


def calibration_error(
    scores_Q: NDArray[np.float64],
    is_right_Q: NDArray[np.bool_],
    bins: int = CALIBRATION_BINS,
) -> float:
    """Expected calibration error in [0, 1]: the mean gap between a score and how often it is right.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2
    (https://arxiv.org/abs/1706.04599): bins of equal width, (low, high], weighed by their queries.
    `scores_Q` are those of the answers.
    """
    bin_Q = np.clip(np.ceil(scores_Q * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps_B = np.bincount(bin_Q, scores_Q - is_right_Q, bins)
    return float(np.abs(gaps_B).sum() / len(scores_Q))


def confusion(
    truth_Q: NDArray[np.int64], answers_Q: NDArray[np.int64], class_count: int
) -> NDArray[np.int64]:
    """How often a query of class c was answered c', (C, C); rows are the truth."""
    counts = np.bincount(truth_Q * class_count + answers_Q, minlength=class_count**2)
    return counts.reshape(class_count, class_count)


def recalls(confusion_CC: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share of each class's queries that was answered right, (C,); NaN where none was asked."""
    asked_C = confusion_CC.sum(axis=1)
    right_C = np.diagonal(confusion_CC)
    none_C = np.full(len(asked_C), np.nan)
    result_C: NDArray[np.float64] = np.divide(right_C, asked_C, out=none_C, where=asked_C > 0)
    return result_C
