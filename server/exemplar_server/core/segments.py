"""Segments: sealed rows with their own ids and labels, and which of them are dead.

Shapes: N rows of one segment by id (dead ones included), R ids to remove, L labels, Q queries,
K neighbors, D dim.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core import approximation, heads

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from exemplar_server.core.approximation import Approximation
    from exemplar_server.core.ports import Index, IndexFactory

# Minus the similarity, the id in UTF-8, the label: they sort nearest first, ties by id.
Candidate = tuple[float, bytes, str]

# Similarities, ids and label codes of one query's rows, nearest first, and whether each is live:
# empty where all are.
Fetched = tuple[list[float], list[bytes], list[int], list[bool]]

# Rows that are equally near go by id, up to so many: more would be fetched for no one's use.
MOST_TIES = 1000
# Python's objects beside the arrays of one segment.
OBJECTS_BYTES = 2000
NAME_BYTES = 120
SUMMED_ROWS = 8192


@dataclass(frozen=True, eq=False)
class Rows:
    """Exemplars that never change, ordered by id. `codes_N` numbers their labels in `names`.

    Ids are UTF-8 in one array: a million strings would take three times the memory, and copying
    them would hold up every other thread.
    """

    index: Index
    ids_N: NDArray[np.bytes_]
    codes_N: NDArray[np.int32]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids_N)

    @property
    def embeddings_ND(self) -> NDArray[np.float32]:
        return self.index.embeddings_ND

    @property
    def size_bytes(self) -> int:
        arrays = self.embeddings_ND.nbytes + self.ids_N.nbytes + self.codes_N.nbytes
        return arrays + NAME_BYTES * len(self.names) + OBJECTS_BYTES

    def places(self, ids_R: NDArray[np.bytes_]) -> NDArray[np.int64]:
        """The rows of those of the ids that are here."""
        # A wider type would make searchsorted copy all ids.
        known_R = ids_R[np.char.str_len(ids_R) <= self.ids_N.itemsize].astype(self.ids_N.dtype)
        places_R = np.searchsorted(self.ids_N, known_R)
        is_here_R = places_R < len(self)
        is_here_R[is_here_R] = self.ids_N[places_R[is_here_R]] == known_R[is_here_R]
        result_R: NDArray[np.int64] = places_R[is_here_R]
        return result_R


@dataclass(frozen=True, eq=False)
class Segment:
    """Sealed rows and their tombstones; `is_live_N` is copied by whoever buries more."""

    rows: Rows
    is_live_N: NDArray[np.bool_] | None = None
    dead: int = 0
    approximation: Approximation | None = None

    def __len__(self) -> int:
        """Live rows."""
        return len(self.rows) - self.dead

    @property
    def size_bytes(self) -> int:
        """With what was computed of the rows."""
        more = 0 if self.approximation is None else self.approximation.size_bytes
        if "sums_LD" in vars(self):
            more += self.sums_LD.nbytes
        return (
            self.rows.size_bytes + (0 if self.is_live_N is None else self.is_live_N.nbytes) + more
        )

    @cached_property
    def counts_L(self) -> NDArray[np.int64]:
        """Each label's live rows, in the order of `rows.names`."""
        codes_N = self.rows.codes_N[self.live_rows()]
        return np.bincount(codes_N, minlength=len(self.rows.names))

    @property
    def live_names(self) -> list[str]:
        return list(compress(self.rows.names, self.counts_L.tolist()))

    @cached_property
    def sums_LD(self) -> NDArray[np.float64]:
        """Each label's sum of live rows, in the order of `rows.names`."""
        sums_LD = np.zeros((len(self.rows.names), self.rows.embeddings_ND.shape[1]))
        places_N = np.arange(len(self.rows))[self.live_rows()]
        for start in range(0, len(places_N), SUMMED_ROWS):
            self._add(places_N[start : start + SUMMED_ROWS], sums_LD, 1)
        return sums_LD

    def _add(self, places_N: NDArray[np.int64], sums_LD: NDArray[np.float64], sign: int) -> None:
        codes_L, inverse_N = np.unique(self.rows.codes_N[places_N], return_inverse=True)
        rows_ND = self.rows.embeddings_ND[places_N]
        sums_LD[codes_L] += sign * heads.label_sums(rows_ND, inverse_N, len(codes_L))

    def codes_in(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Every row's label as its number in these ordered names; any number for a dead row."""
        code_of = {name: code for code, name in enumerate(names)}
        numbers_L = np.array([code_of.get(name, 0) for name in self.rows.names], np.int64)
        result_N: NDArray[np.int64] = numbers_L[self.rows.codes_N]
        return result_N

    def live_rows(self) -> NDArray[np.int64] | slice:
        return slice(None) if self.is_live_N is None else np.flatnonzero(self.is_live_N)

    def without(self, ids_R: NDArray[np.bytes_]) -> Segment:
        return self.buried(self.rows.places(ids_R))

    def buried(self, places_R: NDArray[np.int64]) -> Segment:
        """The segment with these rows dead, too."""
        if not len(places_R):
            return self
        old_N = self.is_live_N
        is_live_N = np.ones(len(self.rows), np.bool_) if old_N is None else old_N.copy()
        newly_R = np.unique(places_R[is_live_N[places_R]])
        is_live_N[newly_R] = False
        buried = replace(self, is_live_N=is_live_N, dead=self.dead + len(newly_R))
        if "sums_LD" in vars(self) and len(newly_R):
            sums_LD = self.sums_LD.copy()
            self._add(newly_R, sums_LD, -1)
            vars(buried)["sums_LD"] = sums_LD
        return buried

    def approximately_nearest(
        self, queries_QD: NDArray[np.float32], k: int
    ) -> list[list[Candidate]] | None:
        """As `nearest`, of candidates; None where it has no approximation that is good enough."""
        known, k = self.approximation, min(k, len(self))
        probes = None if known is None else known.probes_for(k)
        if known is None or known.index is None or probes is None:
            return None
        count = approximation.candidates_of(k) + 2 * k * self.dead // len(self.rows)
        rows_QC = known.index.search(queries_QD, count, probes)
        ranked = approximation.reranked(self.rows.embeddings_ND, queries_QD, rows_QC)
        found = self._chosen(*ranked, k, is_all=True)
        return [
            near
            if near is not None and len(near) == k and near[-1][0] < math.inf
            else self.nearest(queries_QD[query : query + 1], k)[0]
            for query, near in enumerate(found)
        ]

    def nearest(self, queries_QD: NDArray[np.float32], k: int) -> list[list[Candidate]]:
        """The min(k, live rows) nearest of each query, in order."""
        rows, search = len(self.rows.ids_N), self.rows.index.search
        k = min(k, rows - self.dead)
        # Of dead ones, twice as many as are to be expected, and a few. One more row shows a tie.
        count = min(k + 1 + min(3 + 2 * k * self.dead // rows, self.dead), rows)
        found = self._chosen(*search(queries_QD, count), k, is_all=count == rows)
        while None in found:
            count = min(4 * count, rows)
            untold = [query for query, near in enumerate(found) if near is None]
            again = self._chosen(*search(queries_QD[untold], count), k, is_all=count == rows)
            for query, near in zip(untold, again, strict=True):
                found[query] = near
        return found  # type: ignore[return-value] # no None is left

    def _chosen(
        self,
        similarities_QK: NDArray[np.float32],
        rows_QK: NDArray[np.int64],
        k: int,
        *,
        is_all: bool,
    ) -> list[list[Candidate] | None]:
        """The first k live of these rows, nearest first, those that are equally near by id.

        None where it takes more rows to tell, unless these are all.
        """
        # Plain lists: numpy takes a microsecond for what Python does with five numbers in a tenth.
        values, rows = similarities_QK.tolist(), self.rows
        ids, codes = rows.ids_N[rows_QK].tolist(), rows.codes_N[rows_QK].tolist()
        is_live: list[list[bool]] = [[]] * len(values)
        if self.is_live_N is not None:
            is_live = self.is_live_N[rows_QK].tolist()
        fetched = zip(values, ids, codes, is_live, strict=True)
        return [_first(rows.names, columns, k, is_all=is_all) for columns in fetched]


def _first(
    names: Sequence[str], fetched: Fetched, k: int, *, is_all: bool
) -> list[Candidate] | None:
    values, ids, codes, is_live = fetched
    last = values[-1]
    if False in is_live:
        values, ids = list(compress(values, is_live)), list(compress(ids, is_live))
        codes = list(compress(codes, is_live))
    if not is_all:
        if len(values) < k:
            return None
        if values[k - 1] == last and len(values) < k + MOST_TIES:
            return None
    end = k
    while end < len(values) and values[end] == values[k - 1]:
        end += 1
    some = zip(values[:end], ids[:end], codes[:end], strict=True)
    return sorted([(-value, i, names[code]) for value, i, code in some])[:k]


def encoded(ids: Collection[str]) -> NDArray[np.bytes_]:
    """The ids as one array of UTF-8."""
    return np.array([exemplar_id.encode() for exemplar_id in ids], dtype=np.bytes_)


def seal(
    ids: Sequence[str],
    labels: Sequence[str],
    embeddings_ND: NDArray[np.float32],
    build: IndexFactory,
) -> Rows:
    """Takes the embeddings over: they are not to be written to any more."""
    names = tuple(sorted(set(labels)))
    code_of = {name: code for code, name in enumerate(names)}
    codes_N = np.fromiter(map(code_of.__getitem__, labels), np.int32, len(labels))
    ids_N = encoded(ids)
    if (ids_N[1:] < ids_N[:-1]).any():
        order_N = np.argsort(ids_N, kind="stable")
        ids_N, codes_N, embeddings_ND = ids_N[order_N], codes_N[order_N], embeddings_ND[order_N]
    embeddings_ND.flags.writeable = False
    return Rows(build(embeddings_ND), ids_N, codes_N, names)
