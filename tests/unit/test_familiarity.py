"""Familiarity: thresholds hold what they promise, with base prototypes and without."""

import math

import numpy as np
import pytest
from scipy.stats import t as student

from exemplar_server.core import heads
from exemplar_server.core.base_prototypes import NO_BASE, centered
from exemplar_server.core.familiarity import (
    BEYOND,
    Unfamiliar,
    familiarity,
    student_quantile,
    unfamiliar,
)
from exemplar_server.core.leave_one_out import LeftOut
from fakes import unit_rows

DIM = 32
# Many more than a support set has labels, as backbones have.
BASE = centered(unit_rows(np.random.default_rng(99), 100, DIM))
BASES = pytest.mark.parametrize("base", [NO_BASE, BASE], ids=["plain", "base"])


def world(seed, labels, each, spread=0.8):
    """Embeddings around `labels` random centers, in order of their labels."""
    rng = np.random.default_rng(seed)
    centers = np.repeat(unit_rows(rng, labels, DIM), each, axis=0)
    rows = centers + spread * unit_rows(rng, labels * each, DIM)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit.astype(np.float32), np.repeat(np.arange(labels), each)


def episode(seed, base, n_way=5, n_shot=5):
    """What is expected of strangers to five labels, and how familiar those and own queries are."""
    embeddings_ND, codes_N = world(seed, 2 * n_way, n_shot + 10)
    is_taught = np.arange(len(codes_N)) % (n_shot + 10) < n_shot
    support = is_taught & (codes_N < n_way)
    taught = embeddings_ND[support], codes_N[support], n_way
    known = familiarity(heads.prototypes(*taught), base)
    own, strange = ~is_taught & (codes_N < n_way), ~is_taught & (codes_N >= n_way)
    expected = unfamiliar(LeftOut(*taught), base)
    return expected, known.of(embeddings_ND[own]), known.of(embeddings_ND[strange])


EPISODES = {base: [episode(seed, base) for seed in range(60)] for base in (NO_BASE, BASE)}


@BASES
@pytest.mark.parametrize("rate", [0.05, 0.1, 0.3])
def test_the_false_accept_rate_is_met_on_average(base, rate):
    accepted = [(strange >= it.threshold(rate)).mean() for it, _, strange in EPISODES[base]]
    assert np.mean(accepted) == pytest.approx(rate, abs=0.05)


@BASES
def test_the_share_of_own_queries_that_stay_is_estimated(base):
    told = [
        (it.true_accept_rate(it.threshold(0.1)), (own >= it.threshold(0.1)).mean())
        for it, own, _ in EPISODES[base]
    ]
    estimated, measured = np.mean(told, axis=0)
    assert estimated == pytest.approx(measured, abs=0.15)
    assert 0.3 < measured < 1


@BASES
def test_own_queries_are_more_familiar_than_strangers(base):
    assert all(own.mean() > strange.mean() for _, own, strange in EPISODES[base])


def test_without_base_classes_it_is_the_best_cosine_less_the_common_half():
    prototypes_LD, query_1D = (
        unit_rows(np.random.default_rng(0), 3, DIM),
        unit_rows(np.random.default_rng(1), 1, DIM),
    )
    rest_LD = prototypes_LD - 0.5 * prototypes_LD.mean(axis=0)
    expected = (rest_LD / np.linalg.norm(rest_LD, axis=1, keepdims=True) @ query_1D[0]).max()
    assert familiarity(prototypes_LD, NO_BASE).of(query_1D)[0] == pytest.approx(expected)


def test_a_query_like_a_base_class_that_no_label_is_like_is_less_familiar():
    labels_LD, rest_PD = BASE.rows_PD[:3], BASE.rows_PD[3:]
    toward_Q = (labels_LD[[0]] + rest_PD[:10]) / 2
    away_Q = (labels_LD[[0]] - rest_PD[:10]) / 2
    known = familiarity(labels_LD, BASE)
    assert known.of(toward_Q).mean() < known.of(away_Q).mean()


def test_prototypes_move_towards_the_base_classes_that_they_are_like():
    prototypes_ND = unit_rows(np.random.default_rng(3), 6, DIM)
    seen_NS = BASE.seen(prototypes_ND).astype(np.float64)
    before = np.sort(BASE.similarities(seen_NS.astype(np.float32)), axis=1)[:, -5:].mean()
    mixed_NS = BASE.mixed(seen_NS)
    after = np.sort(BASE.similarities(mixed_NS.astype(np.float32)), axis=1)[:, -5:].mean()
    assert after > before
    np.testing.assert_allclose(np.linalg.norm(mixed_NS, axis=1), 1)


@BASES
def test_the_order_of_exemplars_is_irrelevant(base):
    embeddings_ND, codes_N = world(5, 4, 3)
    shuffled = np.random.default_rng(0).permutation(12)
    one = unfamiliar(LeftOut(embeddings_ND, codes_N, 4), base)
    other = unfamiliar(LeftOut(embeddings_ND[shuffled], codes_N[shuffled], 4), base)
    assert one.threshold(0.1) == pytest.approx(other.threshold(0.1))
    np.testing.assert_allclose(np.sort(one.known_N), np.sort(other.known_N), atol=1e-6)


def test_a_rate_of_one_accepts_all_and_of_zero_none():
    it = Unfamiliar(0.5, 0.1, 5, np.zeros(0))
    assert (it.threshold(1.0), it.threshold(0.0)) == (-BEYOND, BEYOND)


@pytest.mark.parametrize("labels", [2, 5, 1000])
def test_a_lower_rate_never_lowers_the_threshold(labels):
    thresholds = [
        Unfamiliar(0.5, 0.1, labels, np.zeros(0)).threshold(rate) for rate in (0.5, 0.1, 0.05, 0.01)
    ]
    assert thresholds == sorted(thresholds)


@pytest.mark.parametrize("freedom", [2, 4, 30])
def test_the_quantile_is_near_students(freedom):
    quantile = student_quantile(0.9, freedom)
    assert quantile == pytest.approx(student.ppf(0.9, freedom), rel=0.01)


@BASES
def test_one_label_has_no_strangers_to_learn_from(base):
    assert unfamiliar(LeftOut(*world(0, 1, 4), 1), base) is None


@BASES
def test_one_exemplar_a_label_has_a_threshold_and_no_estimate(base):
    it = unfamiliar(LeftOut(*world(0, 4, 1), 4), base)
    assert math.isfinite(it.threshold(0.1))
    assert it.true_accept_rate(0.0) is None


@BASES
def test_a_thousand_labels_have_a_threshold(base):
    it = unfamiliar(LeftOut(*world(0, 1000, 2), 1000), base)
    assert math.isfinite(it.threshold(0.1))


@BASES
def test_equal_embeddings_have_a_threshold(base):
    embeddings_ND = np.repeat(unit_rows(np.random.default_rng(0), 1, DIM), 6, axis=0)
    it = unfamiliar(LeftOut(embeddings_ND, np.arange(6) % 2, 2), base)
    assert math.isfinite(it.threshold(0.1))
