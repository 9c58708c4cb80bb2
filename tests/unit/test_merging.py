"""Merges in the background: they change no answer, whatever happens while they run."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exemplar_server.backends.faiss_index import FlatIndex
from exemplar_server.core import merging
from exemplar_server.core import snapshot as snapshots
from exemplar_server.core.exemplars import Delta
from exemplar_server.core.merge import merge
from exemplar_server.core.snapshot import advance, empty
from fakes import DIM, BruteIndex, support_set, unit_rows
from support_set_model import Model

QUERIES_QD = unit_rows(np.random.default_rng(7), 3)
MOST_IDS = 60
ids = st.lists(st.integers(0, MOST_IDS), max_size=30, unique=True)
# A change, or one of the merges that are due begins (1) or ends (2).
events = st.lists(st.one_of(st.tuples(ids, ids), st.sampled_from([1, 1, 2, 2])), max_size=30)


@pytest.fixture
def small_tail(monkeypatch):
    """Makes merges due that would take hundreds of rows."""
    monkeypatch.setattr(snapshots, "TAIL_ROWS", 4)
    monkeypatch.setattr(merging, "TAIL_ROWS", 4)


def delta_of(ids, seed=0, removed=()):
    embeddings_ND = unit_rows(np.random.default_rng(seed), len(ids)).reshape(len(ids), DIM)
    labels = tuple(f"label-{name[-1]}" for name in ids)
    return Delta(support_set(2), frozenset(removed), tuple(ids), labels, embeddings_ND)


def of_parts(*sizes):
    """A snapshot of segments with so many rows; the ids of each mix with those of the others."""
    snapshot = empty(support_set())
    for part, size in enumerate(sizes):
        names = [f"{number:03}-{part}" for number in range(size)]
        snapshot = advance(snapshot, delta_of(names, seed=part), BruteIndex)
    return snapshot


def settled(snapshot, build=BruteIndex):
    while due := merging.due(snapshot):
        snapshot = merging.adopt(snapshot, merge(due, build))
    return snapshot


def answers_of(snapshot):
    return [[n[:2] for n in near] for near in snapshot.search(QUERIES_QD, 9)]


@pytest.mark.usefixtures("small_tail")
@settings(derandomize=True)  # cosines of other histories may differ by less than float32 tells
@given(seed=st.integers(0, 2**32 - 1), events=events)
def test_answers_equal_brute_force_with_merges_at_any_time(seed, events):
    model, snapshot, running = Model(seed), empty(support_set()), []
    for event in events:
        if event == 1:
            busy = {segment.rows for merged in running for segment in merged.segments}
            if due := merging.due(snapshot, busy):
                running.append(merge(due, FlatIndex))
        elif event == 2:
            if running:
                snapshot = merging.adopt(snapshot, running.pop(0)) or snapshot
        else:
            snapshot = advance(snapshot, model.step(*event), FlatIndex)
        assert answers_of(snapshot) == [model.nearest(query_D, 9) for query_D in QUERIES_QD]
    assert snapshot.live()[0] == sorted(model.rows)
    assert settled(snapshot).live_count == len(model.rows)


@pytest.mark.usefixtures("small_tail")
@given(seed=st.integers(0, 2**32 - 1), events=events)
def test_prototypes_follow_additions_removals_and_merges(seed, events):
    model, snapshot = Model(seed), empty(support_set())
    for event in events:
        if isinstance(event, tuple):
            snapshot = advance(snapshot, model.step(*event), BruteIndex)
        elif due := merging.due(snapshot):
            snapshot = merging.adopt(snapshot, merge(due, BruteIndex))
        if model.rows:
            labels, prototypes_LD = snapshot.prototypes
            rows = list(model.rows.values())
            assert labels == tuple(sorted({label for label, _ in rows}))
            for label, prototype_D in zip(labels, prototypes_LD, strict=True):
                sum_D = np.sum([row_D for name, row_D in rows if name == label], axis=0)
                np.testing.assert_allclose(prototype_D, sum_D / np.linalg.norm(sum_D), atol=1e-4)


@pytest.mark.usefixtures("small_tail")
def test_removing_rows_of_a_large_segment_leaves_its_sums_to_be_corrected():
    snapshot = of_parts(40)
    before_LD = snapshot.segments[0].sums_LD
    names = snapshot.live()[0]
    fewer = advance(snapshot, delta_of([], removed=names[:10]), BruteIndex)
    assert "sums_LD" in vars(fewer.segments[0])
    anew_LD = settled(fewer).segments[0].sums_LD
    np.testing.assert_allclose(fewer.segments[0].sums_LD, anew_LD, atol=1e-6)
    assert not np.allclose(before_LD, anew_LD)


@pytest.mark.usefixtures("small_tail")
@given(sizes=st.lists(st.integers(5, 60), max_size=8))
def test_after_all_merges_each_segment_has_twice_the_rows_of_the_next_smaller(sizes):
    rows = sorted((len(s.rows) for s in settled(of_parts(*sizes)).segments), reverse=True)
    assert sum(rows) == sum(sizes)
    assert all(larger >= 2 * smaller for larger, smaller in pairwise(rows))


@pytest.mark.usefixtures("small_tail")
def test_segments_of_twice_the_rows_stay_as_they_are():
    snapshot = of_parts(40, 20, 10)
    assert merging.due(snapshot) == ()


@pytest.mark.usefixtures("small_tail")
def test_the_tail_is_not_merged():
    assert merging.due(of_parts(5, 4)) == ()


@pytest.mark.usefixtures("small_tail")
def test_what_is_being_merged_is_not_due_again():
    snapshot = of_parts(10, 10, 40, 40)
    first = merging.due(snapshot)
    second = merging.due(snapshot, {segment.rows for segment in first})
    assert [len(segment) for segment in (*first, *second)] == [10, 10, 40, 40]


@pytest.mark.usefixtures("small_tail")
@pytest.mark.parametrize(("dead", "left"), [(20, 100), (21, 79)])
def test_more_than_a_fifth_of_dead_rows_is_compacted(dead, left):
    snapshot = of_parts(100)
    names = snapshot.live()[0][:dead]
    assert [
        len(s.rows)
        for s in settled(advance(snapshot, delta_of([], removed=names), BruteIndex)).segments
    ] == [left]


@pytest.mark.usefixtures("small_tail")
def test_rows_removed_while_they_are_merged_stay_removed():
    snapshot = of_parts(10, 10)
    merged = merge(merging.due(snapshot), BruteIndex)
    names = snapshot.live()[0]
    changed = advance(snapshot, delta_of([], removed=names[:5]), BruteIndex)
    assert merging.adopt(changed, merged).live()[0] == names[5:]


@pytest.mark.usefixtures("small_tail")
def test_a_segment_that_emptied_while_it_was_merged_stays_empty():
    snapshot = of_parts(10, 10)
    merged = merge(merging.due(snapshot), BruteIndex)
    gone = [name for name in snapshot.live()[0] if name.endswith("-0")]
    changed = advance(snapshot, delta_of([], removed=gone), BruteIndex)
    assert len(changed.segments) == 1
    assert merging.adopt(changed, merged).live()[0] == [f"{number:03}-1" for number in range(10)]


@pytest.mark.usefixtures("small_tail")
def test_a_merge_is_not_adopted_by_another_snapshot_of_the_same_rows():
    merged = merge(merging.due(of_parts(10, 10)), BruteIndex)
    assert merging.adopt(of_parts(10, 10), merged) is None


@pytest.mark.usefixtures("small_tail")
def test_what_was_computed_of_the_rows_stays_after_a_merge():
    snapshot = of_parts(10, 10)
    labels, prototypes_LD = snapshot.prototypes
    merged = settled(snapshot)
    assert merged is not snapshot
    assert merged.prototypes[1] is prototypes_LD
    assert merged.coded(labels)[0] == labels
