"""Snapshots: after any changes they answer like brute force over the live rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exemplar_server.backends.faiss_index import FlatIndex
from exemplar_server.core.exemplars import Delta
from exemplar_server.core.snapshot import TAIL_ROWS, Neighbor, advance, empty
from fakes import DIM, BruteIndex, support_set, unit_rows
from support_set_model import Model, histories

LARGE = TAIL_ROWS + 44  # rows that no change copies
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
    return [len(segment.rows) for segment in snapshot.segments]


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
    before = (old.support_set, old.live()[:2], answers_of(old, 30))
    advance(old, model.step(range(26), range(26)), FlatIndex)
    assert (old.support_set, old.live()[:2], answers_of(old, 30)) == before


@given(histories)
def test_a_small_support_set_is_one_segment_without_dead_rows(history):
    model, snapshot = replayed(history, BruteIndex)
    assert segment_rows(snapshot) == ([len(model.rows)] if model.rows else [])
    assert snapshot.live_count == len(model.rows)


def test_a_small_addition_leaves_the_large_segment_as_it_is():
    old = of_rows(LARGE)
    new = advance(old, delta_of(3, start=LARGE), BruteIndex)
    assert segment_rows(new) == [LARGE, 3]
    assert new.segments[0] is old.segments[0]


def test_additions_go_into_the_tail_until_it_is_full():
    grown = advance(of_rows(LARGE), delta_of(3, start=LARGE), BruteIndex)
    more = advance(grown, delta_of(TAIL_ROWS - 3, start=LARGE + 3), BruteIndex)
    assert segment_rows(more) == [LARGE, TAIL_ROWS]
    more = advance(more, delta_of(1, start=LARGE + TAIL_ROWS), BruteIndex)
    assert segment_rows(more) == [LARGE, TAIL_ROWS, 1]


def test_removing_from_a_large_segment_copies_no_row():
    old = of_rows(LARGE)
    new = advance(old, delta_of(0, removed=["0000", "0299"]), BruteIndex)
    assert new.segments[0].rows is old.segments[0].rows
    assert (len(new.segments[0]), len(old.segments[0])) == (LARGE - 2, LARGE)


def test_removing_what_is_not_there_changes_nothing():
    old = of_rows(LARGE)
    absent = ["", "00001", "9999", "0299-and-much-longer-than-any-other-id"]
    assert advance(old, delta_of(0, removed=absent), BruteIndex).segments == old.segments


@pytest.mark.parametrize("rows", [10, LARGE])
def test_removing_everything_leaves_no_segment(rows):
    removed = [f"{number:04}" for number in range(rows)]
    assert advance(of_rows(rows), delta_of(0, removed=removed), BruteIndex).segments == ()


@every_index
def test_the_nearest_of_a_large_segment_are_found_among_many_dead(build):
    snapshot = of_rows(LARGE, build)
    near = [n.exemplar_id for n in snapshot.search(QUERIES_QD[:1], LARGE)[0]]
    fewer = advance(snapshot, delta_of(0, removed=near[:-7]), build)
    (found,) = fewer.search(QUERIES_QD[:1], 5)
    assert [n.exemplar_id for n in found] == near[-7:-2]


def test_a_removed_id_that_is_added_again_has_its_new_label():
    old = of_rows(1, label="old")
    new = advance(old, delta_of(1, removed=["0000"], label="new"), FlatIndex)
    assert answers_of(new, 5) == [[("0000", "new")]] * len(QUERIES_QD)


def test_an_exemplar_that_comes_again_takes_the_place_of_what_it_was():
    old = of_rows(LARGE, label="old")
    new = advance(old, delta_of(1, label="new"), FlatIndex)
    labels = dict(zip(*new.live()[:2], strict=True))
    assert (labels["0000"], labels["0001"], len(labels)) == ("new", "old", LARGE)
    assert new.live_count == LARGE


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


@every_index
@pytest.mark.parametrize("k", [1, 3, 50])
def test_of_many_equally_near_exemplars_those_with_the_lowest_ids_are_found(build, k):
    embeddings_ND = np.repeat(QUERIES_QD[:1], 90, axis=0)
    ids = tuple(f"{number:02}" for number in np.random.default_rng(0).permutation(90))
    delta = Delta(support_set(2, 90), frozenset(), ids, ("x",) * 90, embeddings_ND)
    for queries_QD in (QUERIES_QD[:1], np.repeat(QUERIES_QD[:1], 9, axis=0)):
        for found in advance(empty(support_set()), delta, build).search(queries_QD, k):
            assert [n.exemplar_id for n in found] == [f"{number:02}" for number in range(k)]


def test_ids_of_any_script_are_found_and_removed():
    ids, labels = ("é", "a", "日本"), ("x", "y", "z")
    delta = Delta(support_set(2, 3), frozenset(), ids, labels, QUERIES_QD[:3].copy())
    snapshot = advance(empty(support_set()), delta, FlatIndex)
    assert snapshot.search(QUERIES_QD[2:3], 1) == [[Neighbor("日本", "z", pytest.approx(1.0))]]
    fewer = advance(snapshot, delta_of(0, removed=["日本"]), FlatIndex)
    assert fewer.live()[0] == ["a", "é"]


def test_size_counts_embeddings_ids_and_labels_and_what_lies_beside_them():
    one, many = of_rows(LARGE), of_rows(2 * LARGE)
    assert many.size_bytes - one.size_bytes == LARGE * (DIM * 4 + len("0000") + 4)
    assert 4000 < of_rows(1).size_bytes < 6000
