"""The contract of core.ports.Index, kept by FAISS and by the fake."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exemplar_server.backends.faiss_index import FlatIndex
from fakes import BruteIndex, unit_rows

pytestmark = pytest.mark.parametrize("build", [FlatIndex, BruteIndex])
DIM = 16
seeds = st.integers(0, 2**32 - 1)


def rows_and_queries(seed, rows, queries):
    rng = np.random.default_rng(seed)
    return unit_rows(rng, rows, DIM), unit_rows(rng, queries, DIM)


@settings(derandomize=True)  # other rows may have cosines that float32 cannot tell apart
@given(seed=seeds, rows=st.integers(1, 50), queries=st.integers(1, 20), data=st.data())
def test_search_finds_the_k_largest_cosines_best_first(build, seed, rows, queries, data):
    k = data.draw(st.integers(1, rows))
    embeddings_ND, queries_QD = rows_and_queries(seed, rows, queries)
    similarities_QK, rows_QK = build(embeddings_ND).search(queries_QD, k)
    cosines_QN = queries_QD @ embeddings_ND.T
    np.testing.assert_array_equal(rows_QK, np.argsort(-cosines_QN, axis=1)[:, :k])
    np.testing.assert_allclose(similarities_QK, -np.sort(-cosines_QN, axis=1)[:, :k], atol=1e-6)


@given(seed=seeds, scale=st.sampled_from([1.0, 1.0 + 1e-6]))
def test_similarities_never_leave_minus_one_to_one(build, seed, scale):
    embeddings_ND, _ = rows_and_queries(seed, 8, 1)
    queries_QD = (np.concatenate([embeddings_ND, -embeddings_ND]) * scale).astype(np.float32)
    similarities_QK, _ = build(embeddings_ND).search(queries_QD, 8)
    assert np.abs(similarities_QK).max() <= 1.0


def test_the_rows_are_kept_as_they_were(build):
    embeddings_ND, _ = rows_and_queries(1, 30, 1)
    np.testing.assert_array_equal(build(embeddings_ND).embeddings_ND, embeddings_ND)


def test_the_index_does_not_change_with_the_array_it_was_built_from(build):
    embeddings_ND, queries_QD = rows_and_queries(2, 30, 3)
    strided_ND = np.asfortranarray(embeddings_ND)
    index = build(strided_ND)
    strided_ND[:] = 0
    np.testing.assert_array_equal(
        index.search(queries_QD, 5)[1], build(embeddings_ND).search(queries_QD, 5)[1]
    )


def test_answers_have_the_types_of_the_port(build):
    embeddings_ND, queries_QD = rows_and_queries(3, 30, 4)
    similarities_QK, rows_QK = build(embeddings_ND).search(queries_QD, 7)
    assert (similarities_QK.dtype, similarities_QK.shape) == (np.float32, (4, 7))
    assert (rows_QK.dtype, rows_QK.shape) == (np.int64, (4, 7))


@pytest.mark.parametrize("queries", [1, 3, 4, 64])
def test_one_query_and_many_get_the_same_answer(build, queries):
    embeddings_ND, queries_QD = rows_and_queries(4, 500, queries)
    index = build(embeddings_ND)
    alone_QK = np.concatenate([index.search(query_D[None], 10)[1] for query_D in queries_QD])
    np.testing.assert_array_equal(index.search(queries_QD, 10)[1], alone_QK)
