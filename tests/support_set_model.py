"""A support set as a dictionary: what any sequence of changes must come to."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from exemplar_server.core.exemplars import Delta
from fakes import DIM, support_set, unit_rows

# One step: how many rows to add, and which of the ids to remove (some gone, some never there).
# Added ids are drawn, too, so that removed ones come back.
steps = st.tuples(
    st.lists(st.integers(0, 25), max_size=8, unique=True),
    st.lists(st.integers(0, 25), max_size=6, unique=True),
)
histories = st.tuples(st.integers(0, 2**32 - 1), st.lists(steps, min_size=1, max_size=12))


class Model:
    """Live rows by id: (label, embedding). `step` changes it and returns the delta."""

    def __init__(self, seed):
        self.rows = {}
        self.revision = 1
        self._rng = np.random.default_rng(seed)

    @property
    def support_set(self):
        return support_set(self.revision, len(self.rows))

    def step(self, adds, removes):
        gone = [name for name in map(str, removes) if self.rows.pop(name, None) is not None]
        new = [name for name in map(str, adds) if name not in self.rows]
        embeddings_ND = unit_rows(self._rng, len(new)).reshape(len(new), DIM)
        labels = [str(self._rng.choice(list("abc"))) for _ in new]
        self.rows.update(
            (name, (label, row))
            for name, label, row in zip(new, labels, embeddings_ND, strict=True)
        )
        self.revision += 1
        return Delta(self.support_set, frozenset(gone), tuple(new), tuple(labels), embeddings_ND)

    def nearest(self, query_D, k):
        """The (id, label) pairs of the k nearest rows, nearest first."""
        by_similarity = sorted(self.rows, key=lambda name: -float(self.rows[name][1] @ query_D))
        return [(name, self.rows[name][0]) for name in by_similarity[:k]]
