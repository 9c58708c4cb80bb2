"""What a support set's own exemplars, each left out in its turn, tell about answers to come.

Shapes: N exemplars, Q queries, L labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core import heads
from exemplar_server.errors import TooFewExemplarsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from exemplar_server.core.leave_one_out import LeftOut

# Shares of 0 happen where a label has no neighbor; they are not certain.
LEAST_SHARE = 0.02
SHARPNESS = np.geomspace(0.1, 10, 41)
# Few exemplars say little, and left out they do worse than queries, whose label has one exemplar
# more: as if so many had said that the shares are to be sharpened so much. Chosen on CIFAR-10's
# training images, Fashion-MNIST, letters and half of the emoji.
PRIOR_EXEMPLARS = 10.0
PRIOR_SHARPNESS = 4.0


@dataclass(frozen=True)
class Calibration:
    """Of one head, never AUTO, on one snapshot; `note` says what is missing and why.

    `accuracy` and `wrongness_N` (1 minus the right label's probability) are of the exemplars whose
    label has another one.
    """

    head: str
    accuracy: float | None
    sharpness: float | None
    wrongness_N: NDArray[np.float64]
    note: str

    def probabilities(self, shares_QL: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Calibrated by temperature scaling (Guo et al. 2017, 4.2); the order stays."""
        return None if self.sharpness is None else _sharpened(shares_QL, self.sharpness)

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
    notes = [] if own.label_count > 1 else ["no threshold: it takes a second label"]
    if not len(truth_N):
        note = "; ".join([*notes, "no probabilities: they take a label with two exemplars"])
        return Calibration(head, None, None, np.zeros(0), note)
    shares_NL = own.shares(head, k)[asked_N]
    sharpness = _fitted_sharpness(shares_NL, truth_N)
    right_N = _sharpened(shares_NL, sharpness)[np.arange(len(truth_N)), truth_N]
    accuracy = float((shares_NL.argmax(axis=1) == truth_N).mean())
    return Calibration(head, accuracy, sharpness, 1 - right_N, "; ".join(notes))


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
