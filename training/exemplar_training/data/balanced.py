"""Equally many images of each class, drawn by a generator.

Shapes: N images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


def balanced_rows(
    class_ids_N: NDArray[np.int64],
    most: int,
    least_each: int,
    rng: np.random.Generator,
    first: Iterable[int] = (),
) -> NDArray[np.int64]:
    """At most about `most` rows, ascending: equally many of each class, classes `first` first.

    Where the classes are too many for `least_each` of each, whole classes are left out.
    """
    classes = rng.permutation(np.unique(class_ids_N)).tolist()
    each = max(least_each, most // len(classes))
    chosen: list[int] = []
    for class_id in dict.fromkeys([*first, *classes]):
        rows = rng.permutation(np.flatnonzero(class_ids_N == class_id))[:each]
        if len(chosen) + len(rows) > most:
            break
        chosen += rows.tolist()
    return np.sort(np.array(chosen, np.int64))
