"""Calibration: probabilities and label sets hold what they promise, and say where they cannot."""

import math

import numpy as np
import pytest

from exemplar_server.core import heads
from exemplar_server.core.calibration import calibrate
from exemplar_server.core.leave_one_out import LeftOut
from exemplar_server.errors import TooFewExemplarsError
from fakes import unit_rows

DIM = 32


def world(seed, labels, each, spread=0.8):
    """Embeddings around `labels` random centers, in order of their labels."""
    rng = np.random.default_rng(seed)
    centers = np.repeat(unit_rows(rng, labels, DIM), each, axis=0)
    rows = centers + spread * unit_rows(rng, labels * each, DIM)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit.astype(np.float32), np.repeat(np.arange(labels), each)


def episode(seed, n_way=5, n_shot=5):
    """Calibration of a support set, and queries of its labels: similarities and right labels."""
    embeddings_ND, codes_N = world(seed, n_way, n_shot + 10)
    is_taught = np.arange(len(codes_N)) % (n_shot + 10) < n_shot
    taught = embeddings_ND[is_taught], codes_N[is_taught], n_way
    prototypes_LD = heads.prototypes(*taught)
    known = calibrate(LeftOut(*taught), heads.PROTOTYPE, 5)
    return known, embeddings_ND[~is_taught] @ prototypes_LD.T, codes_N[~is_taught]


EPISODES = [episode(seed) for seed in range(60)]


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_label_sets_hold_the_right_label_as_often_as_asked(coverage):
    covered = []
    for known, similarities_QL, truth_Q in EPISODES:
        shares_QL = known.probabilities(heads.softmax(similarities_QL))
        right_Q = shares_QL[np.arange(len(truth_Q)), truth_Q]
        covered.append((1 - right_Q <= known.label_set_bound(coverage)).mean())
    assert coverage - 0.03 <= np.mean(covered) <= coverage + 0.07


def test_probabilities_keep_the_order_and_sum_to_one():
    known, similarities_QL, _ = EPISODES[0]
    shares_QL = heads.softmax(similarities_QL)
    probabilities_QL = known.probabilities(shares_QL)
    np.testing.assert_allclose(probabilities_QL.sum(axis=1), 1)
    np.testing.assert_array_equal(probabilities_QL.argsort(axis=1), shares_QL.argsort(axis=1))


def test_a_coverage_beyond_the_exemplars_is_refused_with_what_it_takes():
    known, *_ = EPISODES[0]
    with pytest.raises(TooFewExemplarsError, match=r"coverage: 0.99 takes 99 exemplars .* got 25"):
        known.label_set_bound(0.99)


def test_one_label_has_probabilities_and_no_threshold():
    embeddings_ND, codes_N = world(0, 1, 4)
    known = calibrate(LeftOut(embeddings_ND, codes_N, 1), heads.KNN, 5)
    assert known.accuracy == 1.0
    assert known.note == "no threshold: it takes a second label"


def test_one_exemplar_a_label_has_no_probabilities():
    embeddings_ND, codes_N = world(0, 4, 1)
    known = calibrate(LeftOut(embeddings_ND, codes_N, 4), heads.PROTOTYPE, 5)
    assert known.probabilities(np.eye(4)) is None
    assert "no probabilities" in known.note


@pytest.mark.parametrize("head", [heads.KNN, heads.PROTOTYPE])
def test_one_exemplar_alone_is_defined(head):
    known = calibrate(LeftOut(*world(0, 1, 1), 1), head, 5)
    assert (known.accuracy, known.sharpness) == (None, None)


def test_a_thousand_labels_are_defined():
    embeddings_ND, codes_N = world(0, 1000, 2)
    known = calibrate(LeftOut(embeddings_ND, codes_N, 1000), heads.PROTOTYPE, 5)
    assert 0 < known.accuracy < 1


def test_equal_embeddings_are_defined():
    embeddings_ND = np.repeat(unit_rows(np.random.default_rng(0), 1, DIM), 6, axis=0)
    known = calibrate(LeftOut(embeddings_ND, np.arange(6) % 2, 2), heads.KNN, 5)
    assert math.isfinite(known.sharpness)
