"""Whether a new backbone serves a support set as well as the old one: told by its own exemplars.

Shapes: N exemplars, D dim of either space.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core import heads
from exemplar_server.core.leave_one_out import LeftOut
from exemplar_server.core.upgrades import Gate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from exemplar_server.core.upgrade_ports import Sample

# One point: the gate refuses what is worse by more.
MOST_LOST = 0.01
# Of two shares of a count of exemplars, so that one point is not more than one point.
ROUNDING = 1e-9


def measure(sample: Sample) -> Gate:
    """Each space is answered by its best head, as `auto` would choose it."""
    names, codes_N = np.unique(sample.labels, return_inverse=True)
    if not len(names) or np.bincount(codes_N).max() < 2:  # noqa: PLR2004 - one is left out
        return Gate(0.0, 0.0, 0)
    old, new = (LeftOut(space_ND, codes_N, len(names)) for space_ND in _spaces(sample))
    return Gate(_accuracy(old), _accuracy(new), int(old.has_other_N.sum()))


def is_worse(gate: Gate) -> bool:
    return gate.old_accuracy - gate.new_accuracy > MOST_LOST + ROUNDING


def _spaces(sample: Sample) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return sample.old_ND, sample.new_NE


def _accuracy(own: LeftOut) -> float:
    head = own.best_head(heads.DEFAULT_K)
    is_right_N = own.shares(head).argmax(axis=1) == own.codes_N
    return float(is_right_N[own.has_other_N].mean())
