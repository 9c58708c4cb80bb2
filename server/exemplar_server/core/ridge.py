"""Ridge regression on the labels, in closed form, and what it says of exemplars left out.

Shapes: N exemplars, Q queries, L labels, D dim. Computed in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Of 0.1, 0.3, 1, 3 and 10 the best or within half a point of it on CIFAR-10's training images,
# Fashion-MNIST, letters and textile at 10 to 50 exemplars a label.
PENALTY = 0.3


@dataclass(frozen=True)
class Ridge:
    """Outputs near 1 for the query's label and near 0 for others; labels weigh the same."""

    mean_D: NDArray[np.float64]
    weights_DL: NDArray[np.float64]
    left_out_NL: NDArray[np.float64]

    def outputs(self, queries_QD: NDArray[np.float32]) -> NDArray[np.float64]:
        label_count = self.weights_DL.shape[1]
        result_QL: NDArray[np.float64] = (queries_QD - self.mean_D) @ self.weights_DL
        result_QL += 1 / label_count
        return result_QL


def fit(embeddings_ND: NDArray[np.float32], codes_N: NDArray[np.int64], label_count: int) -> Ridge:
    """Weighted ridge with an intercept; `left_out_NL` is each exemplar's output without it.

    By the leverages: Hastie et al. 2009, "The Elements of Statistical Learning", 7.10.
    """
    counts_L = np.bincount(codes_N, minlength=label_count)
    share_N = 1 / (label_count * counts_L[codes_N])  # sums to 1
    weight_N1 = np.sqrt(len(codes_N) * share_N)[:, None]
    mean_D = share_N @ embeddings_ND
    centered_ND = embeddings_ND - mean_D
    targets_NL = np.eye(label_count)[codes_N] - 1 / label_count
    rows_ND, values_NL = weight_N1 * centered_ND, weight_N1 * targets_NL
    weights_DL, leverage_N = _solved(rows_ND, values_NL)
    residuals_NL = targets_NL - centered_ND @ weights_DL
    rest_N1 = np.maximum(1 - leverage_N - share_N, 1e-12)[:, None]  # 0 for a single exemplar
    left_out_NL = targets_NL - residuals_NL / rest_N1 + 1 / label_count
    return Ridge(mean_D, weights_DL, left_out_NL)


def _solved(
    rows_ND: NDArray[np.float64], values_NL: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (D, L) and leverages (N,), by the smaller of the two Gram matrices."""
    count, dim = rows_ND.shape
    if count <= dim:
        inverse_NN = np.linalg.inv(rows_ND @ rows_ND.T + PENALTY * np.eye(count))
        return rows_ND.T @ (inverse_NN @ values_NL), 1 - PENALTY * np.diagonal(inverse_NN)
    inverse_DD = np.linalg.inv(rows_ND.T @ rows_ND + PENALTY * np.eye(dim))
    weights_DL = inverse_DD @ (rows_ND.T @ values_NL)
    few_ND = rows_ND.astype(np.float32)  # leverages need no more digits: half the time
    leverage_N = np.einsum("nd,nd->n", few_ND @ inverse_DD.astype(np.float32), few_ND)
    return weights_DL, leverage_N.astype(np.float64)
