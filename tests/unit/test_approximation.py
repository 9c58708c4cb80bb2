"""Approximate search: used where it was measured to be right, and never with a removed row."""

import numpy as np
import pytest

from exemplar_server.backends.faiss_index import FlatIndex, IvfIndex
from exemplar_server.core import approximation, heads, merging
from exemplar_server.core import snapshot as snapshots
from exemplar_server.core.approximation import approximate
from exemplar_server.core.classify import ClassifyOptions, classify
from exemplar_server.core.exemplars import Delta
from exemplar_server.core.merge import approximated, merge
from exemplar_server.core.merging import QUICK, SLOW
from exemplar_server.core.snapshot import advance, empty
from fakes import BruteIndex, RoughIndex, support_set, unit_rows

DIM = 16
ROWS = 3000
ROUGH = BruteIndex, RoughIndex
IVF = FlatIndex, IvfIndex


def clustered(rows, seed=0):
    rng = np.random.default_rng(seed)
    rows_ND = unit_rows(np.random.default_rng(99), 20, DIM)[rng.integers(0, 20, rows)]
    rows_ND += 0.1 * rng.normal(size=rows_ND.shape).astype(np.float32)
    return rows_ND / np.linalg.norm(rows_ND, axis=1, keepdims=True)


QUERIES_QD = clustered(50, seed=1)


def ids_of(count, first=0):
    return tuple(f"{number:05}" for number in range(first, first + count))


def grown(snapshot, rows, first=0, removed=(), build=BruteIndex):
    ids, labels = ids_of(rows, first), ("a",) * rows
    target = support_set(2, dim=DIM)
    delta = Delta(target, frozenset(removed), ids, labels, clustered(rows, seed=first))
    return advance(snapshot, delta, build)


def worked_off(snapshot, build, rough):
    while True:
        if segments := merging.due(snapshot, (), SLOW):
            snapshot = merging.adopt(snapshot, approximated(segments, build, rough))
        elif segments := merging.due(snapshot):
            snapshot = merging.adopt(snapshot, merge(segments, build))
        else:
            return snapshot


def new():
    return empty(support_set(dim=DIM))


def names(found):
    return [[n.exemplar_id for n in near] for near in found]


def found_share(snapshot, k):
    """Share of the true neighbors that are found approximately."""
    found, is_approximate = snapshot.approximate_search(QUERIES_QD, k)
    assert is_approximate
    pairs = zip(names(found), names(snapshot.search(QUERIES_QD, k)), strict=True)
    return np.mean([len({*near} & {*true}) / k for near, true in pairs])


@pytest.fixture
def large_is_small(monkeypatch):
    """Makes large what has thousands of rows."""
    for module in (approximation, snapshots):
        monkeypatch.setattr(module, "DOWN_TO_EXEMPLARS", 1200)
    monkeypatch.setattr(approximation, "FROM_EXEMPLARS", 2000)
    monkeypatch.setattr(approximation, "FROM_ROWS", 500)


def test_as_few_lists_as_are_enough_are_looked_through():
    known = approximate(BruteIndex(clustered(ROWS)), RoughIndex)
    assert known.probes == ((10, 8), (100, 8))  # all eight of the fake's lists: each has its part


def test_up_to_so_many_neighbors_as_were_measured_to_be_found():
    known = approximation.Approximation(None, ((10, 4), (100, 32)))
    assert [known.probes_for(k) for k in (1, 10, 11, 100, 101)] == [4, 4, 32, 32, None]


def test_rows_whose_nearest_are_not_found_are_searched_exactly(monkeypatch):
    monkeypatch.setattr(approximation, "PROBES", (1, 4))
    known = approximate(BruteIndex(clustered(ROWS)), RoughIndex)
    assert (known.probes, known.index, known.size_bytes) == ((), None, 0)


def test_equally_near_rows_are_as_right_as_each_other():
    rows_ND = np.repeat(clustered(100), 50, axis=0)
    assert approximate(FlatIndex(rows_ND), IvfIndex).probes_for(10) is not None


@pytest.mark.usefixtures("large_is_small")
@pytest.mark.parametrize("k", [1, 5, 10, 60])
def test_nearly_all_neighbors_are_found_with_their_true_similarities(k):
    snapshot = worked_off(grown(new(), ROWS, build=FlatIndex), *IVF)
    assert found_share(snapshot, k) >= 0.99
    (near,), _ = snapshot.approximate_search(QUERIES_QD[:1], k)
    (true,) = snapshot.search(QUERIES_QD[:1], k)
    assert [n.similarity for n in near] == pytest.approx([n.similarity for n in true], abs=1e-2)
    assert near == sorted(near, key=lambda n: (-n.similarity, n.exemplar_id))


@pytest.mark.usefixtures("large_is_small")
def test_more_neighbors_than_were_measured_are_found_exactly():
    snapshot = worked_off(grown(new(), ROWS), *ROUGH)
    found, is_approximate = snapshot.approximate_search(QUERIES_QD, 101)
    assert not is_approximate
    assert found == snapshot.search(QUERIES_QD, 101)


@pytest.mark.usefixtures("large_is_small")
@pytest.mark.parametrize("head", [heads.KNN, heads.PROTOTYPE])
def test_an_answer_says_whether_its_neighbors_were_found_approximately(head):
    snapshot = worked_off(grown(new(), ROWS), *ROUGH)

    def says(**options):
        asked = ClassifyOptions(head=head, **options)
        return classify(snapshot, QUERIES_QD, asked).is_approximate

    assert says(include_neighbors=True)
    assert not says(include_neighbors=True, exact=True)
    assert says() == (head == heads.KNN)


@pytest.mark.usefixtures("large_is_small")
def test_new_rows_are_found_beside_the_approximated_ones():
    snapshot = worked_off(grown(new(), ROWS), *ROUGH)
    more = grown(snapshot, 3, first=ROWS)
    near, is_approximate = more.approximate_search(clustered(3, seed=ROWS), 1)
    assert is_approximate
    assert names(near) == [[name] for name in ids_of(3, ROWS)]


@pytest.mark.usefixtures("large_is_small")
def test_removed_rows_are_not_found_and_others_take_their_place():
    snapshot = worked_off(grown(new(), ROWS), *ROUGH)
    (near,) = names(snapshot.search(QUERIES_QD[:1], 200))
    fewer = grown(snapshot, 0, removed=near[:190])
    assert fewer.is_approximated
    (found,), _ = fewer.approximate_search(QUERIES_QD[:1], 5)
    assert [n.exemplar_id for n in found] == near[190:195]


@pytest.mark.usefixtures("large_is_small")
def test_rows_removed_while_an_index_is_built_are_not_found():
    snapshot = grown(new(), ROWS)
    built = approximated(merging.due(snapshot, (), SLOW), *ROUGH)
    (near,) = names(snapshot.search(QUERIES_QD[:1], 3))
    fewer = merging.adopt(grown(snapshot, 0, removed=near), built)
    assert fewer.is_approximated
    (found,), _ = fewer.approximate_search(QUERIES_QD[:1], 3)
    assert not {n.exemplar_id for n in found} & {*near}
    assert fewer.live_count == ROWS - 3


@pytest.mark.usefixtures("large_is_small")
def test_a_support_set_becomes_approximate_when_it_is_large_and_exact_when_it_is_much_smaller():
    snapshot = worked_off(grown(new(), 1999), *ROUGH)
    assert not snapshot.is_approximated
    snapshot = worked_off(grown(snapshot, 1, first=1999), *ROUGH)
    assert snapshot.is_approximated
    snapshot = worked_off(grown(snapshot, 0, removed=ids_of(800)), *ROUGH)
    assert (snapshot.live_count, snapshot.is_approximated) == (1200, True)
    snapshot = worked_off(grown(snapshot, 0, removed=ids_of(1, 800)), *ROUGH)
    assert (snapshot.live_count, snapshot.is_approximated) == (1199, False)


@pytest.mark.usefixtures("large_is_small")
def test_a_segment_that_was_measured_in_vain_is_not_measured_again(monkeypatch):
    monkeypatch.setattr(approximation, "PROBES", (1,))
    snapshot = worked_off(grown(new(), ROWS), *ROUGH)
    assert merging.due(snapshot, (), SLOW) == ()
    assert not snapshot.approximate_search(QUERIES_QD, 5)[1]


@pytest.mark.usefixtures("large_is_small")
def test_merging_what_is_approximated_ends_with_an_approximation():
    snapshot = worked_off(grown(new(), ROWS), *ROUGH)
    snapshot = grown(snapshot, ROWS, first=ROWS)
    assert merging.due(snapshot, (), QUICK) == ()
    merged = worked_off(snapshot, *ROUGH)
    assert [len(s) for s in merged.segments] == [2 * ROWS]
    assert merged.is_approximated
