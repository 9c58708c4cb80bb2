"""Exact nearest-neighbor search. The only file that imports faiss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import faiss
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class FlatIndex:
    """Rows that never change, compared by inner product: cosine, as they have unit length."""

    def __init__(self, embeddings_ND: NDArray[np.float32]) -> None:
        rows, dim = embeddings_ND.shape
        # FAISS 1.15 scans row by row below 128,000 = queries x dim: 7-13 times slower than BLAS
        # from 4 queries on. The threshold is of the whole process.
        faiss.cvar.distance_compute_blas_threshold = 4 * dim
        self._index = faiss.IndexFlatIP(dim)
        self._index.add(np.ascontiguousarray(embeddings_ND))
        pointer = self._index.get_xb()
        self._embeddings_ND: NDArray[np.float32] = faiss.rev_swig_ptr(pointer, rows * dim).reshape(
            rows, dim
        )

    @property
    def embeddings_ND(self) -> NDArray[np.float32]:
        return self._embeddings_ND

    def search(
        self, queries_QD: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        similarities_QK, rows_QK = self._index.search(np.ascontiguousarray(queries_QD), k)
        return np.clip(similarities_QK, -1.0, 1.0), rows_QK  # rounding goes beyond by 1e-7
