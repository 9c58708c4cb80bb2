"""The nearest others of every exemplar are those that comparing all with all finds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exemplar_server.core import nearest
from exemplar_server.core.nearest import nearest_others
from fakes import unit_rows


def expected(embeddings_ND, k):
    similarities_NN = embeddings_ND @ embeddings_ND.T
    np.fill_diagonal(similarities_NN, -np.inf)
    rows_NK = np.argsort(-similarities_NN, axis=1, kind="stable")[:, :k]
    return rows_NK, np.take_along_axis(similarities_NN, rows_NK, axis=1)


@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(1, 70), st.integers(1, 40))
def test_blocks_of_any_size_find_the_nearest_of_all(seed, count, k, block):
    embeddings_ND = unit_rows(np.random.default_rng(seed), count, 16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearest, "BLOCK", block)
        found = nearest_others(embeddings_ND, k)
    rows_NK, similarities_NK = expected(embeddings_ND, min(k, count - 1))
    assert found.rows_NK.shape == rows_NK.shape
    np.testing.assert_allclose(found.similarities_NK, similarities_NK, atol=1e-6)


def test_more_rows_than_a_block_find_the_same_exemplars():
    embeddings_ND = unit_rows(np.random.default_rng(0), 1300, 32)
    found = nearest_others(embeddings_ND, 7)
    np.testing.assert_array_equal(found.rows_NK, expected(embeddings_ND, 7)[0])


def test_one_exemplar_has_no_other():
    assert nearest_others(unit_rows(np.random.default_rng(0), 1), 5).rows_NK.shape == (1, 0)


def test_of_equal_exemplars_each_has_others_as_near_as_can_be():
    found = nearest_others(np.repeat(unit_rows(np.random.default_rng(0), 1), 700, axis=0), 5)
    np.testing.assert_allclose(found.similarities_NK, 1, atol=1e-6)
    assert found.similarities_NK.max() <= 1
    assert (found.rows_NK != np.arange(700)[:, None]).all()
    assert all(len(set(row_K)) == 5 for row_K in found.rows_NK.tolist())
