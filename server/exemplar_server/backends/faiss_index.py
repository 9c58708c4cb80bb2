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
        # FAISS 1.15 scans row by row below 128,000 = queries x dim: 7-13 times slower than BLAS
        # from 4 queries on. The threshold is of the whole process.
        faiss.cvar.distance_compute_blas_threshold = 4 * embeddings_ND.shape[1]
        self._embeddings_ND = np.array(embeddings_ND, dtype=np.float32, order="C")
        self._embeddings_ND.flags.writeable = False

    @property
    def embeddings_ND(self) -> NDArray[np.float32]:
        return self._embeddings_ND

    def search(
        self, queries_QD: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        # The search of IndexFlatIP, on rows that numpy owns: a view into FAISS's memory would
        # dangle where it outlives the index.
        similarities_QK, rows_QK = faiss.knn(
            queries_QD, self._embeddings_ND, k, metric=faiss.METRIC_INNER_PRODUCT
        )
        return np.clip(similarities_QK, -1.0, 1.0), rows_QK  # rounding goes beyond by 1e-7
