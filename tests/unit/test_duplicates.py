"""Near-duplicates: copies are found at the scale of the data, and what is merely alike is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exemplar_server.core.duplicates import near_duplicates
from exemplar_server.core.nearest import nearest_others
from fakes import unit_rows

DIM = 64


def near(row_D, rng, distance):
    """A unit vector at this distance (1 - cosine)."""
    side_D = rng.normal(size=DIM)
    side_D -= side_D @ row_D * row_D
    cosine = 1 - distance
    return cosine * row_D + np.sqrt(1 - cosine**2) * side_D / np.linalg.norm(side_D)


def alike(rng, count, distance):
    """Exemplars of one kind: each about `distance` from the others."""
    center_D = unit_rows(rng, 1, DIM)[0]
    return [near(center_D, rng, distance / 2) for _ in range(count)]


def found(rows, codes=None):
    embeddings_ND = np.array(rows, np.float32)
    codes_N = np.zeros(len(rows), np.int64) if codes is None else np.array(codes)
    pairs = near_duplicates(nearest_others(embeddings_ND, 5), codes_N)
    return list(zip(pairs.rows_P.tolist(), pairs.others_P.tolist(), strict=True))


@given(st.integers(0, 2**32 - 1), st.integers(6, 40), st.sampled_from([0.02, 0.1, 0.3]))
def test_a_copy_is_found_and_what_is_merely_alike_is_not(seed, count, distance):
    rng = np.random.default_rng(seed)
    rows = alike(rng, count, distance)
    assert found(rows) == []
    assert found([*rows, near(rows[3], rng, distance / 10)]) == [(3, count)]


def test_up_to_five_copies_of_an_image_are_found_with_each_other():
    rng = np.random.default_rng(0)
    rows = alike(rng, 20, 0.3)
    rows += [near(rows[0], rng, 0.01) for _ in range(4)]
    copies = [0, 20, 21, 22, 23]
    assert set(found(rows)) == {(a, b) for a in copies for b in copies if a < b}


def test_a_pair_that_stands_out_but_is_far_apart_is_not_one():
    rng = np.random.default_rng(0)
    rows = list(unit_rows(rng, 20, DIM))
    assert found([*rows, near(rows[0], rng, 0.15)]) == []


def test_pairs_across_labels_come_first_and_then_the_closest():
    rng = np.random.default_rng(0)
    rows = alike(rng, 20, 0.3)
    rows += [near(rows[n], rng, distance) for n, distance in enumerate([0.01, 0.02, 0.03, 0.04])]
    codes = [0] * 20 + [0, 1, 0, 1]
    assert found(rows, codes) == [(1, 21), (3, 23), (0, 20), (2, 22)]


@pytest.mark.parametrize(("count", "pairs"), [(1, 0), (2, 1), (3, 3), (6, 15)])
def test_equal_embeddings_are_duplicates_of_each_other(count, pairs):
    assert (
        len(found(np.repeat(unit_rows(np.random.default_rng(0), 1, DIM), count, axis=0))) == pairs
    )


def test_two_different_exemplars_have_nothing_to_be_compared_with():
    rng = np.random.default_rng(0)
    row_D = unit_rows(rng, 1, DIM)[0]
    assert found([row_D, near(row_D, rng, 0.01)]) == []
    assert found([row_D, near(row_D, rng, 0.001)]) == [(0, 1)]


def test_the_kinds_of_one_image_are_each_listed_with_their_nearest_where_they_are_many():
    pairs = found(np.repeat(unit_rows(np.random.default_rng(0), 1, DIM), 300, axis=0))
    assert {row for pair in pairs for row in pair} == set(range(300))
    assert len(pairs) <= 5 * 300
