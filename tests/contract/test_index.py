"""The contracts of core.ports.Index and ApproximateIndex, kept by FAISS and by the fakes."""

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exemplar_server.backends.faiss_index import ALIGNED_BYTES, FlatIndex, IvfIndex
from fakes import BruteIndex, RoughIndex, unit_rows

each_index = pytest.mark.parametrize("build", [FlatIndex, BruteIndex])
each_approximate_index = pytest.mark.parametrize("build", [IvfIndex, RoughIndex])
DIM = 16
seeds = st.integers(0, 2**32 - 1)


def rows_and_queries(seed, rows, queries):
    rng = np.random.default_rng(seed)
    return unit_rows(rng, rows, DIM), unit_rows(rng, queries, DIM)


@each_index
@settings(derandomize=True)  # other rows may have cosines that float32 cannot tell apart
@given(seed=seeds, rows=st.integers(1, 50), queries=st.integers(1, 20), data=st.data())
def test_search_finds_the_k_largest_cosines_best_first(build, seed, rows, queries, data):
    k = data.draw(st.integers(1, rows))
    embeddings_ND, queries_QD = rows_and_queries(seed, rows, queries)
    similarities_QK, rows_QK = build(embeddings_ND).search(queries_QD, k)
    cosines_QN = queries_QD @ embeddings_ND.T
    np.testing.assert_array_equal(rows_QK, np.argsort(-cosines_QN, axis=1)[:, :k])
    np.testing.assert_allclose(similarities_QK, -np.sort(-cosines_QN, axis=1)[:, :k], atol=1e-6)


@each_index
@given(seed=seeds, scale=st.sampled_from([1.0, 1.0 + 1e-6]))
def test_similarities_never_leave_minus_one_to_one(build, seed, scale):
    embeddings_ND, _ = rows_and_queries(seed, 8, 1)
    queries_QD = (np.concatenate([embeddings_ND, -embeddings_ND]) * scale).astype(np.float32)
    similarities_QK, _ = build(embeddings_ND).search(queries_QD, 8)
    assert np.abs(similarities_QK).max() <= 1.0


@each_index
def test_the_rows_are_kept_as_they_were(build):
    embeddings_ND, _ = rows_and_queries(1, 30, 1)
    np.testing.assert_array_equal(build(embeddings_ND).embeddings_ND, embeddings_ND)


@each_index
def test_the_index_does_not_change_with_the_array_it_was_built_from(build):
    embeddings_ND, queries_QD = rows_and_queries(2, 30, 3)
    strided_ND = np.asfortranarray(embeddings_ND)
    index = build(strided_ND)
    strided_ND[:] = 0
    np.testing.assert_array_equal(
        index.search(queries_QD, 5)[1], build(embeddings_ND).search(queries_QD, 5)[1]
    )


@each_index
def test_answers_have_the_types_of_the_port(build):
    embeddings_ND, queries_QD = rows_and_queries(3, 30, 4)
    similarities_QK, rows_QK = build(embeddings_ND).search(queries_QD, 7)
    assert (similarities_QK.dtype, similarities_QK.shape) == (np.float32, (4, 7))
    assert (rows_QK.dtype, rows_QK.shape) == (np.int64, (4, 7))


@each_index
@pytest.mark.parametrize("queries", [1, 3, 4, 64])
def test_one_query_and_many_get_the_same_answer(build, queries):
    embeddings_ND, queries_QD = rows_and_queries(4, 500, queries)
    index = build(embeddings_ND)
    alone_QK = np.concatenate([index.search(query_D[None], 10)[1] for query_D in queries_QD])
    np.testing.assert_array_equal(index.search(queries_QD, 10)[1], alone_QK)


@pytest.mark.parametrize("dim", [16, 48])
def test_a_batch_is_searched_by_blas_whichever_dim_came_last(dim):
    # FAISS's own threshold would be 128,000: a scan a query.
    rng = np.random.default_rng(5)
    index, other = FlatIndex(unit_rows(rng, 9, dim)), FlatIndex(unit_rows(rng, 9, 32))
    other.search(unit_rows(rng, 4, 32), 1)
    index.search(unit_rows(rng, 4, dim), 1)
    assert faiss.cvar.distance_compute_blas_threshold == 4 * dim


@each_index
def test_no_queries_find_nothing(build):
    embeddings_ND, _ = rows_and_queries(6, 3, 1)
    similarities_QK, rows_QK = build(embeddings_ND).search(np.zeros((0, DIM), np.float32), 2)
    assert similarities_QK.shape == rows_QK.shape == (0, 2)


def test_many_rows_that_nobody_may_write_to_are_not_copied():
    embeddings_ND = np.zeros((ALIGNED_BYTES // (4 * DIM) + 1, DIM), np.float32)
    assert FlatIndex(embeddings_ND).embeddings_ND is not embeddings_ND
    embeddings_ND.flags.writeable = False
    assert FlatIndex(embeddings_ND).embeddings_ND is embeddings_ND


@each_approximate_index
def test_looking_through_all_lists_finds_the_nearest_among_candidates(build):
    embeddings_ND, queries_QD = rows_and_queries(7, 2000, 20)
    candidates_QC = build(embeddings_ND).search(queries_QD, 50, 10_000)
    assert (candidates_QC.dtype, candidates_QC.shape) == (np.int64, (20, 50))
    nearest_Q = (queries_QD @ embeddings_ND.T).argmax(axis=1)
    assert all(row in found for row, found in zip(nearest_Q, candidates_QC, strict=True))


@each_approximate_index
def test_where_there_are_fewer_candidates_minus_one_takes_their_place(build):
    embeddings_ND, queries_QD = rows_and_queries(8, 30, 1)
    (found,) = build(embeddings_ND).search(queries_QD, 50, 10_000).tolist()
    assert sorted(found) == [-1] * 20 + list(range(30))


@each_approximate_index
def test_the_size_is_told(build):
    embeddings_ND, _ = rows_and_queries(9, 300, 1)
    assert embeddings_ND.nbytes / 4 <= build(embeddings_ND).size_bytes < 2 * embeddings_ND.nbytes
