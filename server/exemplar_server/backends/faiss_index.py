"""Nearest-neighbor search, exact and approximate. The only file that imports faiss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import faiss
import numpy as np

from exemplar_server.core.row_memory import MAPPED_BYTES, empty_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLAS_QUERIES = 4
# Rows that fit into the processor's caches are compared a tenth faster where they begin on a cache
# line; of more, memory sets the pace, and aligning would copy them.
CACHE_LINE = 64
ALIGNED_BYTES = 2**24
# Lists an index, as a multiple of the root of its rows, and rows that each list is trained on:
# a minute for a million rows (tests/bench/results/2026-11-25-search.md).
LISTS_A_ROOT = 2
TRAINED_A_LIST = 64
TRAINED_TIMES = 10


class FlatIndex:
    """Rows that never change, compared by inner product: cosine, as they have unit length.

    Rows that nobody may write to are kept as they are where they lie well, others are copied.
    """

    def __init__(self, embeddings_ND: NDArray[np.float32]) -> None:
        is_ours = not embeddings_ND.flags.writeable
        rows_ND = np.require(embeddings_ND, np.float32, "C")
        is_aligned = rows_ND.ctypes.data % CACHE_LINE == 0 or rows_ND.nbytes > ALIGNED_BYTES
        if not is_aligned or (rows_ND is embeddings_ND and not is_ours):
            rows_ND = _aligned(rows_ND)
        rows_ND.flags.writeable = False
        self._embeddings_ND = rows_ND
        # Making these afresh takes a microsecond a query.
        self._count, self._dim = rows_ND.shape
        self._rows = faiss.swig_ptr(rows_ND)

    @property
    def embeddings_ND(self) -> NDArray[np.float32]:
        return self._embeddings_ND

    def search(
        self, queries_QD: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        queries_QD = np.ascontiguousarray(queries_QD, np.float32)
        queries = len(queries_QD)
        if queries > 1:
            # FAISS 1.15 scans row by row below 128,000 = queries x dim: 7-13 times slower than
            # BLAS from 4 queries on. The threshold is of the whole process, and another dim may
            # have set it.
            faiss.cvar.distance_compute_blas_threshold = BLAS_QUERIES * self._dim
        similarities_QK = np.empty((queries, k), np.float32)
        rows_QK = np.empty((queries, k), np.int64)
        # The search of IndexFlatIP, on rows that numpy owns: a view into FAISS's memory would
        # dangle where it outlives the index.
        faiss.knn_inner_product(
            faiss.swig_ptr(queries_QD),
            self._rows,
            self._dim,
            queries,
            self._count,
            k,
            faiss.swig_ptr(similarities_QK),
            faiss.swig_ptr(rows_QK),
        )
        # Rounding goes beyond by 1e-7. Clipping one query's would take a microsecond.
        if queries != 1 or similarities_QK.item(0) > 1.0 or similarities_QK.item(k - 1) < -1.0:
            np.clip(similarities_QK, -1.0, 1.0, out=similarities_QK)
        return similarities_QK, rows_QK


def _aligned(rows_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    """A copy that begins on a cache line."""
    if rows_ND.nbytes >= MAPPED_BYTES:
        mapped_ND = empty_rows(*rows_ND.shape)
        mapped_ND[:] = rows_ND
        return mapped_ND
    room = np.empty(rows_ND.nbytes + CACHE_LINE, np.uint8)
    start = -room.ctypes.data % CACHE_LINE
    copy_ND: NDArray[np.float32] = (
        room[start : start + rows_ND.nbytes].view(np.float32).reshape(rows_ND.shape)
    )
    copy_ND[:] = rows_ND
    return copy_ND


class IvfIndex:
    """Rows in 8 bits a value, in lists around trained centers (FAISS's IVF,SQ8)."""

    def __init__(self, embeddings_ND: NDArray[np.float32]) -> None:
        count, dim = embeddings_ND.shape
        lists = max(1, int(LISTS_A_ROOT * count**0.5))
        faiss.cvar.distance_compute_blas_threshold = BLAS_QUERIES * dim
        self._centers = faiss.IndexFlatIP(dim)
        self._index = faiss.IndexIVFScalarQuantizer(
            self._centers, dim, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        )
        self._index.cp.niter = TRAINED_TIMES
        self._index.cp.max_points_per_centroid = TRAINED_A_LIST
        self._index.cp.min_points_per_centroid = 1  # else it warns on standard error
        some_N = np.random.default_rng(0).permutation(count)[: TRAINED_A_LIST * lists]
        self._index.train(embeddings_ND[np.sort(some_N)])
        self._index.add(embeddings_ND)
        # A row's values and its number; lists grow by doubling: a third of their room stays empty.
        self._size_bytes: int = 3 * count * (dim + 8) // 2 + 4 * lists * dim

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    def search(self, queries_QD: NDArray[np.float32], count: int, probes: int) -> NDArray[np.int64]:
        options = faiss.SearchParametersIVF(nprobe=probes)  # type: ignore[call-arg] # its own stub
        rows_QC: NDArray[np.int64] = self._index.search(queries_QD, count, params=options)[1]
        return rows_QC
