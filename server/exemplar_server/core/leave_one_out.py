"""Exemplars answered by the others: what a support set tells about its own answers.

Shapes: N exemplars, B exemplars of one block, L labels, K neighbors and more, D dim.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core import heads, ridge
from exemplar_server.core.duplicates import SCALE_NEIGHBORS
from exemplar_server.core.nearest import nearest_others

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from exemplar_server.core.nearest import Nearest

BLOCK = 512  # rows whose own label's prototype is made at once: 5 MB at 1,280 dimensions


@dataclass(frozen=True)
class LeftOut:
    """Exemplars that are answered by the others. What is computed is kept as long as this is.

    Embeddings are float32 of unit length; `codes_N` numbers their labels from 0.
    """

    embeddings_ND: NDArray[np.float32]
    codes_N: NDArray[np.int64]
    label_count: int

    @cached_property
    def counts_L(self) -> NDArray[np.int64]:
        """Each label's exemplars."""
        return np.bincount(self.codes_N, minlength=self.label_count)

    @cached_property
    def has_other_N(self) -> NDArray[np.bool_]:
        """Whether another exemplar has its label, so that it can be answered right."""
        result_N: NDArray[np.bool_] = self.counts_L[self.codes_N] > 1
        return result_N

    def best_head(self, k: int) -> str:
        """What AUTO stands for: the head with the most exemplars right; ties go to the earlier one.

        Prototypes come first, and stay where no label has a second exemplar.
        """
        candidates = [heads.PROTOTYPE, heads.KNN]
        if self.counts_L.min() >= heads.RIDGE_EXEMPLARS and self.label_count > 1:
            candidates.append(heads.RIDGE)

        def right(head: str) -> int:
            is_right_N = self.shares(head, k).argmax(axis=1) == self.codes_N
            return int(is_right_N[self.has_other_N].sum())

        return max(candidates, key=right)

    def shares(self, head: str, k: int = heads.DEFAULT_K) -> NDArray[np.float64]:
        """What `head` (not AUTO) gives each label for each exemplar, (N, L); rows sum to 1.

        The only exemplar of its label gets no share of it by neighbors, and that of similarity 0 by
        prototypes: such rows say nothing about accuracy.
        """
        if (head, k) not in self._shares:
            self._shares[head, k] = self._shares_of(head, k)
        return self._shares[head, k]

    @cached_property
    def prototype_similarities_NL(self) -> NDArray[np.float64]:
        """Cosines with every label's prototype, an exemplar's own label's without it."""
        similarities_NL = (self.embeddings_ND @ self.prototypes_LD.T).astype(np.float64)
        for rows_B, own_BD in self.own_prototypes():
            own_B = (own_BD * self.embeddings_ND[rows_B]).sum(axis=1)
            similarities_NL[rows_B, self.codes_N[rows_B]] = own_B
        return similarities_NL

    @property
    def prototypes_LD(self) -> NDArray[np.float32]:
        """Every label's prototype, nobody left out."""
        return heads.unit(self._sums_LD).astype(np.float32)

    def own_prototypes(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Rows, a block at a time, and the prototype of each one's label without it, (B, D)."""
        for start in range(0, len(self.codes_N), BLOCK):
            rows_B = np.arange(start, min(start + BLOCK, len(self.codes_N)))
            own_BD = self._sums_LD[self.codes_N[rows_B]] - self.embeddings_ND[rows_B]
            yield rows_B, heads.unit(own_BD)

    @cached_property
    def _sums_LD(self) -> NDArray[np.float64]:
        return heads.label_sums(self.embeddings_ND, self.codes_N, self.label_count)

    def nearest(self, k: int) -> Nearest:
        """Each exemplar's nearest others: k, and as many as near-duplicates are told by."""
        if k not in self._nearest:
            self._nearest[k] = nearest_others(self.embeddings_ND, max(k, SCALE_NEIGHBORS))
        return self._nearest[k]

    @cached_property
    def _nearest(self) -> dict[int, Nearest]:
        return {}

    @cached_property
    def _shares(self) -> dict[tuple[str, int], NDArray[np.float64]]:
        return {}

    def _shares_of(self, head: str, k: int) -> NDArray[np.float64]:
        if head == heads.KNN:
            return self._votes(k)
        if head == heads.RIDGE:
            fitted = ridge.fit(self.embeddings_ND, self.codes_N, self.label_count)
            return heads.softmax(fitted.left_out_NL)
        return heads.softmax(self.prototype_similarities_NL)

    def _votes(self, k: int) -> NDArray[np.float64]:
        """What the k nearest others vote for, (N, L); zeros where there is no other."""
        votes_NL = np.zeros((len(self.codes_N), self.label_count))
        if len(votes_NL) > 1:
            near = self.nearest(k)
            rows_N1 = np.arange(len(votes_NL))[:, None]
            shares_NK = heads.softmax(near.similarities_NK[:, :k])
            np.add.at(votes_NL, (rows_N1, self.codes_N[near.rows_NK[:, :k]]), shares_NK)
        return votes_NL
