"""Sampling: large labels give way, small ones keep what they have."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from exemplar_server.core.sampling import spread_over_labels


def test_a_support_set_that_is_small_enough_is_taken_whole():
    np.testing.assert_array_equal(spread_over_labels(np.array([2, 0, 1, 0]), 4), np.arange(4))


def test_small_labels_keep_all_and_large_ones_are_thinned_evenly():
    codes_N = np.repeat([0, 1, 2], [1000, 5, 1000])
    rows = spread_over_labels(codes_N, 405)
    counts = np.bincount(codes_N[rows])
    assert counts[1] == 5
    assert counts[0] == counts[2]
    assert 300 <= len(rows) <= 405
    gaps = np.diff(rows[codes_N[rows] == 0])
    assert gaps.max() - gaps.min() <= 1


@given(st.lists(st.integers(0, 5), min_size=1, max_size=200), st.integers(1, 50))
def test_every_label_stays_and_no_more_are_taken_than_asked(codes, most):
    _, codes_N = np.unique(codes, return_inverse=True)
    rows = spread_over_labels(codes_N, most)
    labels = codes_N.max() + 1
    assert set(codes_N[rows].tolist()) == set(range(labels))
    assert len(rows) == len(set(rows.tolist())) <= max(most, labels)
