"""Snapshots: after any changes they answer like brute force over the live rows."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exemplar_server.backends.faiss_index import FlatIndex
from exemplar_server.core.exemplars import Delta
from exemplar_server.core.snapshot import advance, empty
from fakes import DIM, BruteIndex, support_set, unit_rows
from support_set_model import Model, histories

QUERIES_QD = unit_rows(np.random.default_rng(7), 5)
every_index = pytest.mark.parametrize("build", [FlatIndex, BruteIndex])


def replayed(history, build):
    """The model and the snapshot after the history's steps."""
    seed, steps = history
    model = Model(seed)
    snapshot = empty(model.support_set)
    for adds, removes in steps:
        snapshot = advance(snapshot, model.step(adds, removes), build)
    return model, snapshot


def of_rows(count, build=BruteIndex, label="a"):
    return advance(empty(support_set()), delta_of(count, label=label), build)


def delta_of(count, start=0, removed=(), label="a", total=None):
    ids = tuple(f"{number:04}" for number in range(start, start + count))
    embeddings_ND = unit_rows(np.random.default_rng(start), count).reshape(count, DIM)
    target = support_set(start + 2, count if total is None else total)
    return Delta(target, frozenset(removed), ids, (label,) * count, embeddings_ND)


def answers_of(snapshot, k):
    return [[(n.exemplar_id, n.label) for n in found] for found in snapshot.search(QUERIES_QD, k)]


def segment_rows(snapshot):
    return [len(segment.embeddings_ND) for segment in snapshot.segments]


@every_index
@settings(derandomize=True)  # cosines of other histories may differ by less than float32 tells
@given(history=histories, k=st.integers(1, 30))
def test_search_equals_brute_force_over_the_live_rows(build, history, k):
    model, snapshot = replayed(history, build)
    assert answers_of(snapshot, k) == [model.nearest(query_D, k) for query_D in QUERIES_QD]


@every_index
@given(history=histories)
def test_similarities_are_cosines_nearest_first(build, history):
    model, snapshot = replayed(history, build)
    for query_D, neighbors in zip(QUERIES_QD, snapshot.search(QUERIES_QD, 10), strict=True):
        values = [n.similarity for n in neighbors]
        expected = [float(model.rows[n.exemplar_id][1] @ query_D) for n in neighbors]
        assert values == pytest.approx(expected, abs=1e-6)
        assert values == sorted(values, reverse=True)


@every_index
@given(history=histories)
def test_live_has_every_live_row_by_id(build, history):
    model, snapshot = replayed(history, build)
    ids, labels, embeddings_ND = snapshot.live()
    assert ids == sorted(model.rows)
    assert labels == [model.rows[name][0] for name in ids]
    expected_ND = [model.rows[name][1] for name in ids]
    np.testing.assert_array_equal(embeddings_ND, np.reshape(expected_ND, (len(ids), DIM)))


@every_index
@given(history=histories)
def test_prototypes_are_of_the_live_labels(build, history):
    model, snapshot = replayed(history, build)
    labels, prototypes_LD = snapshot.prototypes if model.rows else ((), np.zeros((0, DIM)))
    sums = {label: np.zeros(DIM) for label, _ in model.rows.values()}
    for label, embedding_D in model.rows.values():
        sums[label] += embedding_D
    assert labels == tuple(sorted(sums))
    expected = [sums[label] / np.linalg.norm(sums[label]) for label in labels]
    np.testing.assert_allclose(prototypes_LD, np.reshape(expected, (-1, DIM)), atol=1e-5)


@given(histories)
def test_a_snapshot_stays_as_it_was_after_an_advance(history):
    model, old = replayed(history, FlatIndex)
    before = (old.support_set, old.ids, old.labels, answers_of(old, 30))
    advance(old, model.step(range(26), range(26)), FlatIndex)
    assert (old.support_set, old.ids, old.labels, answers_of(old, 30)) == before


@given(histories)
def test_each_segment_has_at_least_twice_the_rows_of_the_next(history):
    _, snapshot = replayed(history, BruteIndex)
    rows = segment_rows(snapshot)
    assert all(larger >= 2 * smaller for larger, smaller in pairwise(rows))


@given(histories)
def test_at_most_a_fifth_of_the_rows_is_dead(history):
    model, snapshot = replayed(history, BruteIndex)
    assert len(snapshot.ids) - len(model.rows) <= 0.2 * len(snapshot.ids)
    assert snapshot.is_live_N.sum() == len(model.rows)


def test_a_small_addition_leaves_the_large_segment_as_it_is():
    old = of_rows(100)
    new = advance(old, delta_of(3, start=100, total=103), BruteIndex)
    assert segment_rows(new) == [100, 3]
    assert new.segments[0] is old.segments[0]


def test_additions_merge_into_a_segment_of_less_than_twice_their_rows():
    grown = advance(of_rows(100), delta_of(3, start=100), BruteIndex)
    assert segment_rows(advance(grown, delta_of(2, start=103), BruteIndex)) == [100, 5]


def test_a_fifth_of_dead_rows_is_kept():
    removed = [f"{number:04}" for number in range(20)]
    snapshot = advance(of_rows(100), delta_of(0, removed=removed, total=80), BruteIndex)
    assert segment_rows(snapshot) == [100]


def test_more_than_a_fifth_of_dead_rows_is_compacted():
    removed = [f"{number:04}" for number in range(21)]
    snapshot = advance(of_rows(100), delta_of(0, removed=removed, total=79), BruteIndex)
    assert segment_rows(snapshot) == [79]


def test_removing_everything_leaves_no_segment():
    removed = [f"{number:04}" for number in range(10)]
    snapshot = advance(of_rows(10), delta_of(0, removed=removed, total=0), BruteIndex)
    assert (snapshot.segments, snapshot.ids) == ((), ())


def test_a_removed_id_that_is_added_again_has_its_new_label():
    old = of_rows(1, label="old")
    new = advance(old, delta_of(1, removed=["0000"], label="new"), FlatIndex)
    assert answers_of(new, 5) == [[("0000", "new")]] * len(QUERIES_QD)


def test_search_for_more_than_there_is_finds_all():
    assert [len(found) for found in of_rows(3).search(QUERIES_QD, 100)] == [3] * len(QUERIES_QD)


def test_search_in_an_empty_snapshot_finds_nothing():
    assert empty(support_set()).search(QUERIES_QD, 5) == [[]] * len(QUERIES_QD)


@every_index
def test_equally_near_exemplars_are_ordered_by_id(build):
    embeddings_ND = np.repeat(QUERIES_QD[:1], 3, axis=0)
    target = support_set(2, 3)
    delta = Delta(target, frozenset(), ("c", "a", "b"), ("x",) * 3, embeddings_ND)
    (found,) = advance(empty(target), delta, build).search(QUERIES_QD[:1], 3)
    assert [n.exemplar_id for n in found] == ["a", "b", "c"]


def test_size_counts_embeddings_and_strings():
    assert of_rows(10).size_bytes == 10 * DIM * 4 + 10 * 200
