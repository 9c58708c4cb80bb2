"""Claims about what a support set says of itself."""

import numpy as np
import pytest

from exemplar_server.backends.faiss_index import FlatIndex
from exemplar_server.core import heads, leave_one_out
from exemplar_server.core.evaluation import evaluate, wilson
from exemplar_server.core.exemplars import Delta
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
    assert found.names[found.answers_N[4]] == "a"


@pytest.mark.parametrize("labels", ["a", "aaa", "abc"])
@pytest.mark.parametrize("head", [heads.KNN, heads.PROTOTYPE])
def test_where_no_label_has_another_exemplar_or_there_is_one_label_nothing_is_suspect(labels, head):
    found = evaluate(snapshot_of(labels, held(labels)), head, 5, 10)
    assert found.suspects == []
    assert set(found.answers_N.tolist()) == ({0} if labels == "aaa" else {-1})


def test_blocks_change_no_answer(monkeypatch):
    labels = "abcd" * 10
    embeddings = held(labels)
    whole = evaluate(snapshot_of(labels, embeddings), heads.KNN, 5, 10)
    monkeypatch.setattr(leave_one_out, "BLOCK", 7)
    cut = evaluate(snapshot_of(labels, embeddings), heads.KNN, 5, 10)
    assert (whole.answers_N == cut.answers_N).all()


def test_the_interval_is_wilsons():
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 5)[0] == 0
    assert wilson(5, 5)[1] == 1
