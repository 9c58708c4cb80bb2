"""Evaluation: the server's heads, measures equal to plain references, and the verb."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import sem
from sklearn.metrics import confusion_matrix, recall_score, roc_auc_score

from exemplar_server.backends.faiss_index import FlatIndex
from exemplar_server.core.classify import ClassifyOptions, classify
from exemplar_server.core.exemplars import Delta
from exemplar_server.core.heads import KNN
from exemplar_server.core.snapshot import advance, empty
from exemplar_training.data.image_set import ImageSet
from exemplar_training.evaluation import heads, metrics, outcomes
from exemplar_training.evaluation.episodes import EpisodeSpec, sample
from fakes import support_set, unit_rows

DIM = 16
PROTOTYPE, NEAREST, FIVE_NEAREST = heads.HEADS
every_head = pytest.mark.parametrize("options", heads.HEADS, ids=heads.head_name)
seeds = st.integers(0, 2**32)


def exemplars(seed, labels=6, each=4):
    """Support (X, D) in order of its codes (X), and 20 queries."""
    rng = np.random.default_rng(seed)
    return (
        unit_rows(rng, labels * each, DIM),
        np.repeat(np.arange(labels), each),
        unit_rows(rng, 20, DIM),
    )


def server_answers(support_XD, codes_X, queries_QD, options):
    ids = tuple(f"{row:04}" for row in range(len(codes_X)))
    labels = tuple(f"{code:02}" for code in codes_X)
    target = support_set(2, len(ids), dim=DIM)
    delta = Delta(target, frozenset(), ids, labels, support_XD)
    return classify(advance(empty(target), delta, FlatIndex), queries_QD, options).answers


@pytest.mark.parametrize(
    "options", [*heads.HEADS, ClassifyOptions(3, KNN, 0.5), ClassifyOptions(99, KNN)]
)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=seeds)
def test_the_scores_are_the_servers(options, seed):
    drawn = exemplars(seed)
    said = heads.scores(*drawn, options)
    for query, answer in enumerate(server_answers(*drawn, options)):
        expected_L = np.zeros(6)
        for score in answer.scores:
            expected_L[int(score.label)] = score.score
        np.testing.assert_allclose(said.scores_QL[query], expected_L, atol=1e-5)
        assert said.similarity_Q[query] == pytest.approx(answer.similarity, abs=1e-6)
        assert said.scores_QL[query].argmax() == int(answer.scores[0].label)


@every_head
@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=seeds)
def test_the_order_of_the_support_changes_nothing(options, seed):
    support_XD, codes_X, queries_QD = exemplars(seed)
    order = np.random.default_rng(seed).permutation(len(codes_X))
    said = heads.scores(support_XD, codes_X, queries_QD, options)
    again = heads.scores(support_XD[order], codes_X[order], queries_QD, options)
    np.testing.assert_allclose(again.scores_QL, said.scores_QL, atol=1e-5)
    np.testing.assert_allclose(again.similarity_Q, said.similarity_Q, atol=1e-6)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=seeds)
def test_adding_a_label_never_changes_the_ranking_among_the_old_ones(seed):
    support_XD, codes_X, queries_QD = exemplars(seed)
    old = codes_X < 5
    before = heads.scores(support_XD[old], codes_X[old], queries_QD, PROTOTYPE)
    after = heads.scores(support_XD, codes_X, queries_QD, PROTOTYPE)
    np.testing.assert_array_equal(
        np.argsort(after.scores_QL[:, :5], axis=1), np.argsort(before.scores_QL, axis=1)
    )


def points(classes=10, each=30, spread=0.6, seed=0):
    """Embeddings around one direction a class, and an image set of these classes."""
    rng = np.random.default_rng(seed)
    class_ids_N = np.repeat(np.arange(classes), each)
    rows_ND = unit_rows(rng, classes, DIM)[class_ids_N]
    rows_ND = rows_ND + spread * unit_rows(rng, len(class_ids_N), DIM)
    rows_ND /= np.linalg.norm(rows_ND, axis=1, keepdims=True)
    names = tuple(f"class {c}" for c in range(classes))
    return rows_ND, ImageSet(
        "points", [b"%d" % i for i in range(len(class_ids_N))], class_ids_N, names
    )


def played(options, n_shot=2, spread=0.6):
    embeddings_ND, images = points(spread=spread)
    episodes = sample(images, EpisodeSpec(5, n_shot, 7, episodes=30))
    return embeddings_ND, images, episodes, heads.play(embeddings_ND, episodes, options)


@every_head
def test_each_episode_is_answered_as_the_server_answers_it(options):
    embeddings_ND, images, episodes, found = played(options)
    for number in range(3):
        support = episodes.support_ELS[number].ravel()
        asked = np.concatenate([episodes.query_ELQ[number].ravel(), episodes.unknown_EM[number]])
        answers = server_answers(
            embeddings_ND[support], images.class_ids_N[support], embeddings_ND[asked], options
        )
        said = [int(answer.scores[0].label) for answer in answers[:35]]
        assert found.answer_EQ[number].tolist() == said
        similarities = np.concatenate(
            [found.similarity_EQ[number], found.unknown_similarity_EM[number]]
        )
        np.testing.assert_allclose(similarities, [a.similarity for a in answers], atol=1e-6)
        expected_Q = images.class_ids_N[episodes.query_ELQ[number].ravel()]
        assert found.truth_EQ[number].tolist() == expected_Q.tolist()


@every_head
def test_classes_far_apart_are_all_answered_right_and_told_from_unknown_ones(options):
    embeddings_ND, images, episodes, found = played(options, spread=0.05)
    assert found.accuracy_E.tolist() == [1.0] * 30
    outcome = outcomes.outcome("points", embeddings_ND, episodes, options, images.class_names)
    assert outcome.auroc == metrics.Interval(1.0, 0.0)
    assert set(outcome.recalls.values()) == {1.0}
    assert outcome.confusions == []


def test_embeddings_that_say_nothing_are_right_once_in_n_way():
    _, images, episodes, _ = played(PROTOTYPE)
    noise_ND = unit_rows(np.random.default_rng(1), len(images), DIM)
    accuracy = metrics.interval(heads.play(noise_ND, episodes, PROTOTYPE).accuracy_E)
    assert accuracy.mean == pytest.approx(1 / 5, abs=0.05)


similarities = st.lists(st.sampled_from(np.linspace(-1, 1, 9).tolist()), min_size=1, max_size=30)


@settings(max_examples=40, deadline=None)
@given(known=similarities, unknown=similarities)
def test_auroc_equals_scikit_learns(known, unknown):
    truth = [1] * len(known) + [0] * len(unknown)
    found = metrics.auroc(np.array(known, np.float32), np.array(unknown, np.float32))
    assert found == pytest.approx(roc_auc_score(truth, known + unknown))


@settings(max_examples=40, deadline=None)
@given(
    answers=st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60),
    bins=st.integers(1, 20),
)
def test_calibration_error_equals_a_plain_sum_over_bins(answers, bins):
    scores_Q, is_right_Q = (np.array(column) for column in zip(*answers, strict=True))
    expected = 0.0
    for number in range(bins):
        above = scores_Q * bins > number if number else scores_Q >= 0
        inside = above & (scores_Q * bins <= number + 1)
        if inside.any():
            gap = abs(scores_Q[inside].mean() - is_right_Q[inside].mean())
            expected += inside.mean() * gap
    assert metrics.calibration_error(scores_Q, is_right_Q, bins) == pytest.approx(expected)


def test_scores_that_come_true_have_no_calibration_error():
    scores_Q = np.repeat([0.25, 0.75], 4)
    is_right_Q = np.array([1, 0, 0, 0, 1, 1, 1, 0], np.bool_)
    assert metrics.calibration_error(scores_Q, is_right_Q) == 0


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.floats(0, 1), min_size=2, max_size=50))
def test_the_interval_is_196_standard_errors_around_the_mean(values):
    found = metrics.interval(np.array(values))
    assert found.mean == pytest.approx(np.mean(values))
    assert found.half == pytest.approx(1.96 * sem(values))


def test_the_interval_holds_the_truth_in_95_of_100_repetitions():
    rng = np.random.default_rng(0)
    intervals = [metrics.interval(rng.binomial(75, 0.8, 600) / 75) for _ in range(2000)]
    held = np.mean([abs(i.mean - 0.8) <= i.half for i in intervals])
    assert held == pytest.approx(0.95, abs=0.015)


def test_a_paired_difference_is_narrower_than_its_two_intervals():
    rng = np.random.default_rng(0)
    hard_E = rng.normal(0.6, 0.1, 600)
    better_E, worse_E = hard_E + 0.02, hard_E + rng.normal(0, 0.01, 600)
    gap = metrics.paired_difference(better_E, worse_E)
    assert gap.mean == pytest.approx(0.02, abs=0.002)
    assert gap.half < metrics.interval(worse_E).half / 5


@settings(max_examples=40, deadline=None)
@given(answers=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_confusion_and_recalls_equal_scikit_learns(answers):
    truth_Q, answers_Q = (np.array(column) for column in zip(*answers, strict=True))
    counts_CC = metrics.confusion(truth_Q, answers_Q, 5)
    expected_CC = confusion_matrix(truth_Q, answers_Q, labels=range(5))
    np.testing.assert_array_equal(counts_CC, expected_CC)
    asked = np.unique(truth_Q)
    expected = recall_score(truth_Q, answers_Q, labels=asked, average=None, zero_division=0)
    np.testing.assert_allclose(metrics.recalls(counts_CC)[asked], expected)
    assert np.isnan(np.delete(metrics.recalls(counts_CC), asked)).all()


def test_confusions_are_shares_of_their_class_most_frequent_first():
    embeddings_ND, images, episodes, found = played(PROTOTYPE, spread=2)
    outcome = outcomes.outcome("points", embeddings_ND, episodes, PROTOTYPE, images.class_names)
    shares = [c.share for c in outcome.confusions]
    assert shares == sorted(shares, reverse=True)
    worst = outcome.confusions[0]
    truth, answer = (images.class_names.index(name) for name in (worst.truth, worst.answer))
    asked_Q = found.truth_EQ == truth
    assert worst.share == pytest.approx(np.mean(found.answer_EQ[asked_Q] == answer))


def test_differences_are_to_the_first_outcome_of_the_same_episodes():
    embeddings_ND, images, _, _ = played(PROTOTYPE)
    played_so = [
        outcomes.outcome("points", embeddings_ND, sample(images, spec), options, images.class_names)
        for options in heads.HEADS[:2]
        for spec in (EpisodeSpec(5, 1, 7, 20), EpisodeSpec(5, 3, 7, 20))
    ]
    found = outcomes.differences(played_so)
    assert [(gap.name, gap.than, gap.n_shot) for gap in found] == [
        ("points, 1-NN", "points, prototype", shot) for shot in (1, 3)
    ]
    assert found[1].accuracy.mean == pytest.approx(
        played_so[3].accuracy.mean - played_so[1].accuracy.mean
    )
