"""Heads: laws of the scores, and equality with scikit-learn's classifiers."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from exemplar_server.backends.faiss_index import FlatIndex
from exemplar_server.core import heads
from exemplar_server.core.classify import ClassifyOptions, classify
from exemplar_server.core.exemplars import Delta
from exemplar_server.core.snapshot import advance, empty
from fakes import support_set, unit_rows

DIM = 16
similarities = st.floats(-1.0, 1.0, width=32)
temperatures = st.floats(0.01, 100.0)
votes = st.lists(st.tuples(st.sampled_from("abcd"), similarities), min_size=1, max_size=20)
ballots = st.dictionaries(st.text(max_size=3), similarities, min_size=1, max_size=20)


def knn(neighbors, temperature):
    labels, values = zip(*neighbors, strict=True)
    names = sorted(set(labels))
    codes = [names.index(label) for label in labels]
    shares = heads.votes(codes, np.array(values, np.float32), len(names), temperature)
    return heads.ranked(names, shares)


def prototype(ballot, temperature):
    names = sorted(ballot)
    values = np.array([ballot[name] for name in names], np.float32)
    return heads.ranked(names, heads.softmax(values, temperature))


def snapshot_of(embeddings_ND, labels):
    ids = tuple(f"{row:04}" for row in range(len(labels)))
    target = support_set(2, len(labels), dim=embeddings_ND.shape[1])
    delta = Delta(target, frozenset(), ids, tuple(labels), embeddings_ND)
    return advance(empty(target), delta, FlatIndex)


def unbalanced(seed, rows=60):
    """Embeddings of labels a to d, where a has most and d has hardly any."""
    rng = np.random.default_rng(seed)
    labels = ["a", "b", "c", "d", *rng.choice(list("abcd"), rows - 4, p=[0.6, 0.25, 0.1, 0.05])]
    return unit_rows(rng, rows, DIM), [str(label) for label in labels], unit_rows(rng, 20, DIM)


def score_table(answers, names):
    """The answers' scores, (Q, L), with 0 for labels that got no share."""
    shares = [{s.label: s.score for s in answer.scores} for answer in answers]
    return np.array([[share.get(str(name), 0.0) for name in names] for share in shares])


@given(votes, temperatures)
def test_knn_scores_are_a_ranked_distribution_over_the_labels_seen(neighbors, temperature):
    scores = knn(neighbors, temperature)
    assert {s.label for s in scores} == {label for label, _ in neighbors}
    assert sum(s.score for s in scores) == pytest.approx(1.0)
    assert all(0.0 <= s.score <= 1.0 + 1e-12 for s in scores)
    assert scores == sorted(scores, key=lambda s: (-s.score, s.label))


@given(ballots, temperatures)
def test_prototype_scores_are_a_ranked_distribution_over_all_labels(ballot, temperature):
    scores = prototype(ballot, temperature)
    assert {s.label for s in scores} == set(ballot)
    assert sum(s.score for s in scores) == pytest.approx(1.0)
    assert all(0.0 <= s.score <= 1.0 + 1e-12 for s in scores)
    assert scores == sorted(scores, key=lambda s: (-s.score, s.label))


@given(st.sets(st.text(max_size=3), min_size=1, max_size=8), similarities, temperatures)
def test_labels_with_equal_scores_are_ordered_by_label(labels, similarity, temperature):
    neighbors = [(label, similarity) for label in labels]
    assert [s.label for s in knn(neighbors, temperature)] == sorted(labels)
    assert [s.label for s in prototype(dict(neighbors), temperature)] == sorted(labels)


@given(ballots, st.floats(0.01, 10.0), st.floats(1.0, 10.0))
def test_a_lower_temperature_never_lowers_the_best_prototypes_score(ballot, temperature, factor):
    sharp = prototype(ballot, temperature)[0].score
    assert sharp >= prototype(ballot, temperature * factor)[0].score - 1e-9


@given(st.lists(similarities, min_size=1, max_size=20, unique=True), temperatures)
def test_the_lowest_temperature_lets_the_nearest_neighbor_decide(values, temperature):
    neighbors = [("nearest" if v == max(values) else "others", v) for v in values]
    share = {s.label: s.score for s in knn(neighbors, temperature)}["nearest"]
    assert knn(neighbors, 1e-12)[0].label == "nearest"
    assert share <= knn(neighbors, 1e-12)[0].score + 1e-9


@given(st.permutations(range(12)))
def test_prototypes_do_not_depend_on_the_order_of_exemplars(order):
    embeddings_ND = unit_rows(np.random.default_rng(0), 12, DIM)
    codes_N = np.arange(12) % 3
    expected = heads.prototypes(embeddings_ND, codes_N, 3)
    shuffled = heads.prototypes(embeddings_ND[order], codes_N[order], 3)
    np.testing.assert_allclose(shuffled, expected, atol=1e-6)


@given(st.integers(0, 1000), st.integers(1, 5))
def test_prototypes_have_unit_length(seed, label_count):
    embeddings_ND = unit_rows(np.random.default_rng(seed), 20, DIM)
    prototypes_LD = heads.prototypes(embeddings_ND, np.arange(20) % label_count, label_count)
    np.testing.assert_allclose(np.linalg.norm(prototypes_LD, axis=1), 1.0, atol=1e-6)


def test_embeddings_that_cancel_out_make_a_prototype_without_similarity():
    embeddings_ND = np.array([[1, 0], [-1, 0]], np.float32)
    prototypes_LD = heads.prototypes(embeddings_ND, np.zeros(2, np.int64), 1)
    np.testing.assert_array_equal(prototypes_LD, np.zeros((1, 2), np.float32))


SEEDS = range(1, 201)  # a random support set each
SETTINGS = list(itertools.product([1, 5, 60], [0.02, 0.07, 1.0]))
EVERY_SETTING = [(seed, *setting) for seed in (1, 2) for setting in SETTINGS]
EVERY_SEED = [(seed, *SETTINGS[seed % len(SETTINGS)]) for seed in SEEDS[2:]]


@pytest.mark.parametrize(("seed", "k", "temperature"), EVERY_SETTING + EVERY_SEED)
def test_knn_answers_equal_scikit_learns_weighted_neighbors(seed, k, temperature):
    embeddings_ND, labels, queries_QD = unbalanced(seed)
    classifier = KNeighborsClassifier(
        metric="cosine",
        algorithm="brute",
        n_neighbors=k,
        weights=lambda distances: np.exp(-distances / temperature),
    ).fit(embeddings_ND, labels)
    options = ClassifyOptions(k, heads.KNN, temperature)
    answers = classify(snapshot_of(embeddings_ND, labels), queries_QD, options).answers
    expected_QL = classifier.predict_proba(queries_QD)
    np.testing.assert_allclose(score_table(answers, classifier.classes_), expected_QL, atol=1e-4)
    assert [a.scores[0].label for a in answers] == classifier.predict(queries_QD).tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_prototype_answers_equal_scikit_learns_nearest_centroid(seed):
    embeddings_ND, labels, queries_QD = unbalanced(seed)
    names = sorted(set(labels))
    means_LD = np.stack([embeddings_ND[np.array(labels) == n].mean(axis=0) for n in names])
    means_LD /= np.linalg.norm(means_LD, axis=1, keepdims=True)
    # Two points around each mean: scikit-learn needs a deviation within labels.
    around_LD = np.concatenate([means_LD * 0.5, means_LD * 1.5])
    classifier = NearestCentroid().fit(around_LD, [*names, *names])
    options = ClassifyOptions(head=heads.PROTOTYPE)
    answers = classify(snapshot_of(embeddings_ND, labels), queries_QD, options).answers
    assert [a.scores[0].label for a in answers] == classifier.predict(queries_QD).tolist()


@pytest.mark.parametrize("head", [heads.KNN, heads.PROTOTYPE])
def test_neighbors_are_answered_only_where_asked_for(head):
    embeddings_ND, labels, queries_QD = unbalanced(4)
    snapshot = snapshot_of(embeddings_ND, labels)
    without = classify(snapshot, queries_QD, ClassifyOptions(head=head)).answers
    asked = ClassifyOptions(head=head, include_neighbors=True)
    with_them = classify(snapshot, queries_QD, asked).answers
    assert [len(a.neighbors) for a in without] == [0] * len(queries_QD)
    assert [len(a.neighbors) for a in with_them] == [heads.DEFAULT_K] * len(queries_QD)


def test_a_query_equal_to_an_exemplar_has_similarity_one_and_its_label():
    embeddings_ND, labels, _ = unbalanced(5)
    answers = classify(
        snapshot_of(embeddings_ND, labels), embeddings_ND, ClassifyOptions(1, heads.KNN)
    ).answers
    assert [a.scores[0].label for a in answers] == labels
    np.testing.assert_allclose([a.similarity for a in answers], 1.0, atol=1e-6)


def test_a_prototype_answers_similarity_is_that_of_the_best_prototype():
    embeddings_ND = np.eye(2, DIM, dtype=np.float32)
    options = ClassifyOptions(head=heads.PROTOTYPE)
    snapshot = snapshot_of(embeddings_ND, ["a", "b"])
    (answer,) = classify(snapshot, embeddings_ND[1:], options).answers
    assert (answer.scores[0].label, answer.similarity) == ("b", 1.0)
