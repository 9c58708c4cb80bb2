"""Claims about what a support set says of itself."""

import numpy as np
import pytest

from exemplar_server.backends.faiss_index import FlatIndex
from exemplar_server.core import heads, nearest
from exemplar_server.core.evaluation import Confusion, evaluate
from exemplar_server.core.exemplars import Delta
from exemplar_server.core.intervals import accuracy
from exemplar_server.core.leave_one_out import LeftOut
from exemplar_server.core.snapshot import advance, empty
from fakes import support_set


def snapshot_of(labels, embeddings):
    ids = tuple(f"{n:05}" for n in range(len(labels)))
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
