"""Claims about what a support set says of itself."""

import numpy as np
import pytest

from exemplar_server.backends.faiss_index import FlatIndex
from exemplar_server.core import evaluation, heads, nearest
from exemplar_server.core.evaluation import Confusion, evaluate
from exemplar_server.core.exemplars import Delta
from exemplar_server.core.intervals import accuracy
from exemplar_server.core.leave_one_out import LeftOut
from exemplar_server.core.snapshot import advance, empty
from fakes import support_set, unit_rows

ASKED = (heads.PROTOTYPE, 5, 10)


def snapshot_of(labels, embeddings, ids=None):
    ids = ids or tuple(f"{n:05}" for n in range(len(labels)))
    target = support_set(2, len(labels), dim=embeddings.shape[1])
    delta = Delta(target, frozenset(), ids, tuple(labels), embeddings)
    return advance(empty(target), delta, FlatIndex)


def held(labels, seed=0, dim=16):
    """Exemplars near their label's own direction."""
    noise = np.random.default_rng(seed).normal(scale=0.1, size=(len(labels), dim))
    rows = np.array([np.eye(dim)["abcdefgh".index(label.lower())] for label in labels]) + noise
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("head", [heads.KNN, heads.PROTOTYPE])
def test_a_wrong_label_is_the_first_suspect_and_its_true_label_is_suggested(head):
    embeddings = held("aaaaabbbbb")
    found = evaluate(snapshot_of("aaaabbbbbb", embeddings), head, 3, 10)
    assert (found.suspects[0].exemplar_id, found.suspects[0].suggested_label) == ("00004", "a")
    assert [n.label for n in found.suspects[0].neighbors] == ["a"] * 3
    assert found.confusions == [Confusion("b", "a", 1, ["00004"])]


@pytest.mark.parametrize("labels", ["a", "aaa", "abc"])
@pytest.mark.parametrize("head", [heads.KNN, heads.PROTOTYPE])
def test_where_no_label_has_another_exemplar_or_there_is_one_label_nothing_is_suspect(labels, head):
    found = evaluate(snapshot_of(labels, held(labels)), head, 5, 10)
    assert found.suspects == []
    assert found.confusions == []
    assert (found.accuracy and found.accuracy.value) == (1.0 if labels == "aaa" else None)


def test_blocks_change_no_answer(monkeypatch):
    embeddings, codes = held("abcd" * 10), np.arange(40) % 4
    whole = LeftOut(embeddings, codes, 4).shares(heads.KNN)
    monkeypatch.setattr(nearest, "BLOCK", 7)
    cut = LeftOut(embeddings, codes, 4).shares(heads.KNN)
    np.testing.assert_allclose(cut, whole, atol=1e-6)
    assert (whole.argmax(axis=1) == cut.argmax(axis=1)).all()


def test_the_interval_is_wilsons():
    found = accuracy(8, 10)
    assert (found.low, found.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert accuracy(0, 5).low == 0
    assert accuracy(5, 5).high == 1


def test_duplicates_across_labels_are_named_first():
    embeddings = held("aaaaabbbbb")
    rows = np.concatenate([embeddings, embeddings[[0, 1]]])
    found = evaluate(snapshot_of("aaaaabbbbbab", rows), heads.PROTOTYPE, 5, 10)
    assert [(pair.exemplar_id, pair.other_exemplar_id) for pair in found.duplicates[:2]] == [
        ("00001", "00011"),
        ("00000", "00010"),
    ]
    assert [(pair.label, pair.other_label) for pair in found.duplicates[:2]] == [
        ("a", "b"),
        ("a", "a"),
    ]
    assert found.duplicates[0].similarity == pytest.approx(1, abs=1e-6)


def test_duplicates_are_not_looked_for_where_comparing_all_would_take_too_long(monkeypatch):
    snapshot = snapshot_of("aaa", np.repeat(held("a"), 3, axis=0))
    assert len(evaluate(snapshot, *ASKED).duplicates) == 3
    monkeypatch.setattr(evaluation, "MOST_COMPARED", 2)
    assert evaluate(snapshot, *ASKED).duplicates == []


def test_confusions_name_the_surest_first():
    embeddings = held("aaaaaabbbbbb")
    own = evaluate(snapshot_of("aaaaaabbbbaa", embeddings), heads.PROTOTYPE, 5, 10)
    (confusion,) = own.confusions
    assert (confusion.label, confusion.answer, confusion.exemplar_count) == ("a", "b", 2)
    codes = np.array([0] * 6 + [1] * 4 + [0] * 2)
    shares = LeftOut(embeddings, codes, 2).shares(heads.PROTOTYPE)[:, 1]
    first, second = (int(exemplar_id) for exemplar_id in confusion.exemplar_ids)
    assert shares[first] >= shares[second]


def test_of_many_that_are_confused_twenty_are_named():
    embeddings = held("a" * 60 + "b" * 5)
    found = evaluate(snapshot_of("b" * 25 + "a" * 35 + "b" * 5, embeddings), heads.KNN, 5, 10)
    assert found.confusions[0].exemplar_count > len(found.confusions[0].exemplar_ids) == 20


def test_labels_of_one_exemplar_need_more_and_well_told_ones_need_none():
    found = evaluate(
        snapshot_of("a" * 12 + "b" * 12 + "c", held("a" * 12 + "b" * 12 + "c")), *ASKED
    )
    assert [label.exemplars_needed for label in found.labels] == [0, 0, 9]
    assert [bool(label.advice) for label in found.labels] == [False, False, True]


def test_all_equal_exemplars_are_defined():
    rows = np.repeat(held("a"), 12, axis=0)
    found = evaluate(snapshot_of("ab" * 6, rows), *ASKED)
    assert len(found.duplicates) == 10
    assert found.accuracy.exemplar_count == 12
    assert all(np.isfinite(suspect.suspicion) for suspect in found.suspects)


@pytest.mark.parametrize("head", [heads.AUTO, heads.KNN, heads.PROTOTYPE])
def test_a_thousand_labels_are_evaluated(head):
    codes = np.repeat(np.arange(1000), 2)
    rng = np.random.default_rng(0)
    rows = np.repeat(unit_rows(rng, 1000, 32), 2, axis=0) + 0.3 * unit_rows(rng, 2000, 32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = evaluate(snapshot_of([f"{code:04}" for code in codes], rows), head, 5, 10)
    assert len(found.labels) == 1000
    assert found.accuracy.value > 0.9
    assert {label.exemplars_needed for label in found.labels} == {8}


@pytest.mark.parametrize("head", [heads.AUTO, heads.KNN, heads.PROTOTYPE])
def test_unbalanced_labels_are_each_told_from_the_others(head):
    labels = "a" * 50 + "b" * 3 + "c"
    found = evaluate(snapshot_of(labels, held(labels)), head, 5, 10)
    assert [label.exemplar_count for label in found.labels] == [50, 3, 1]
    assert [label.recall and label.recall.value for label in found.labels] == [1, 1, None]


@pytest.mark.parametrize("seed", range(3))
def test_the_order_in_which_exemplars_came_changes_nothing(seed):
    embeddings = held("aaaabbbbcccc" * 3, seed)
    rows = np.concatenate([embeddings, embeddings[:3]])
    labels, ids = "aaaabbbcacca" * 3 + "abc", [f"{n:05}" for n in range(39)]
    order = np.random.default_rng(seed).permutation(39)
    moved = snapshot_of([labels[n] for n in order], rows[order], tuple(ids[n] for n in order))
    first, second = (evaluate(it, *ASKED) for it in (snapshot_of(labels, rows), moved))
    assert first.suspects
    assert first.duplicates
    assert vars(first) == vars(second)


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_findings_of_a_kind_than_asked_for(most):
    rows = np.concatenate([held("abcd" * 10), held("abcd" * 10)])
    wrong = "abcd" * 8 + "bcda" * 2 + "abcd" * 10
    found = evaluate(snapshot_of(wrong, rows), heads.PROTOTYPE, 5, most)
    assert [len(it) for it in (found.confusions, found.suspects, found.duplicates)] == [most] * 3


def test_exemplars_that_findings_name_come_once_suspects_first():
    rows = np.concatenate([held("aaaaabbbbb"), held("aaaaabbbbb")[[4]]])
    found = evaluate(snapshot_of("aaaabbbbbba", rows), heads.PROTOTYPE, 5, 10)
    ids = found.named_ids(100)
    assert ids[0] == found.suspects[0].exemplar_id == "00004"
    assert ids[1:4] == [near.exemplar_id for near in found.suspects[0].neighbors]
    assert len(set(ids)) == len(ids)
    assert {"00004", "00010"} <= set(ids)
    assert found.named_ids(2) == ids[:2]
    assert found.named_ids(0) == []
