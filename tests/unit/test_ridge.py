"""Ridge regression: the closed form of leave-one-out is what leaving one out gives."""

import numpy as np
import pytest

from exemplar_server.core import ridge
from fakes import unit_rows


def solved(embeddings_ND, codes_N, weight_N, label_count):
    """Weighted ridge with an intercept by its normal equations, which share nothing with fit's."""
    count, dim = embeddings_ND.shape
    rows = np.hstack([embeddings_ND, np.ones((count, 1))]).astype(np.float64)
    penalty = ridge.PENALTY * np.diag([*np.ones(dim), 0.0])
    gram = rows.T @ (weight_N[:, None] * rows) + penalty
    return np.linalg.solve(gram, rows.T @ (weight_N[:, None] * np.eye(label_count)[codes_N]))


@pytest.mark.parametrize("dim", [8, 64], ids=["more exemplars than dim", "fewer"])
def test_left_out_outputs_are_those_of_a_fit_without_the_exemplar(dim):
    embeddings_ND = unit_rows(np.random.default_rng(0), 30, dim)
    codes_N = np.array([0] * 12 + [1] * 10 + [2] * 8)
    weight_N = 30 / (3 * np.bincount(codes_N)[codes_N])
    fitted = ridge.fit(embeddings_ND, codes_N, 3)
    for row in (0, 15, 29):
        rest = np.arange(30) != row
        weights = solved(embeddings_ND[rest], codes_N[rest], weight_N[rest], 3)
        expected_L = np.append(embeddings_ND[row], 1.0) @ weights
        np.testing.assert_allclose(fitted.left_out_NL[row], expected_L, atol=1e-6)


def test_outputs_are_those_of_the_normal_equations():
    rng = np.random.default_rng(1)
    embeddings_ND, queries_QD = unit_rows(rng, 24, 16), unit_rows(rng, 5, 16)
    codes_N = np.arange(24) % 2
    weights = solved(embeddings_ND, codes_N, np.ones(24), 2)
    expected_QL = np.hstack([queries_QD, np.ones((5, 1))]) @ weights
    outputs_QL = ridge.fit(embeddings_ND, codes_N, 2).outputs(queries_QD)
    np.testing.assert_allclose(outputs_QL, expected_QL, atol=1e-6)
