"""What the map's process computes: near scikit-learn's map, the same twice, true of few points."""

from dataclasses import dataclass

import numpy as np
import pytest
from openTSNE.affinity import PerplexityBasedNN
from openTSNE.tsne import kl_divergence_bh
from sklearn.datasets import load_digits
from sklearn.manifold import TSNE, trustworthiness
from sklearn.neighbors import KNeighborsClassifier

from exemplar_server.backends import tsne_worker
from exemplar_server.core import maps
from exemplar_server.core.maps import MapOptions
from fakes import unit_rows


@dataclass(frozen=True)
class Digits:
    """Handwritten digits as unit vectors; `rest` are not on the map."""

    known_ND: np.ndarray
    labels_N: np.ndarray
    rest_QD: np.ndarray
    rest_labels_Q: np.ndarray


@pytest.fixture(scope="module")
def digits():
    pixels_ND, labels_N = load_digits(return_X_y=True)
    rows_ND = (pixels_ND / np.linalg.norm(pixels_ND, axis=1, keepdims=True)).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(rows_ND))
    known, rest = order[360:], order[:360]
    return Digits(rows_ND[known], labels_N[known], rows_ND[rest], labels_N[rest])


def drawn(embeddings_ND, codes_N=None, report=lambda _: None, **options):
    codes_N = np.full(len(embeddings_ND), -1) if codes_N is None else codes_N
    options = MapOptions(**options)
    return tsne_worker.compute(embeddings_ND, codes_N.astype(np.int32), options, report)


@pytest.fixture(scope="module")
def digits_map(digits):
    return drawn(digits.known_ND, digits.labels_N)


def random_rows(rows, dim=16):
    return unit_rows(np.random.default_rng(0), rows, dim)


# Quality


def test_a_map_of_digits_keeps_their_neighbors_and_labels(digits_map):
    assert digits_map.quality.trustworthiness >= 0.985
    assert digits_map.quality.label_agreement >= 0.96


def test_trustworthiness_is_scikit_learns(digits, digits_map):
    expected = trustworthiness(digits.known_ND, digits_map.points_N2, n_neighbors=12)
    assert digits_map.quality.trustworthiness == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("space", ["map", "embeddings"])
def test_label_agreement_is_scikit_learns_vote_of_the_ten_nearest_others(digits, digits_map, space):
    quality = digits_map.quality
    agreement, rows_ND = {
        "map": (quality.label_agreement, digits_map.points_N2),
        "embeddings": (quality.embedding_label_agreement, digits.known_ND),
    }[space]
    voters = KNeighborsClassifier(10, algorithm="brute").fit(rows_ND, digits.labels_N)
    others_NK = voters.kneighbors(return_distance=False)
    votes_N = [np.bincount(digits.labels_N[others_K]).argmax() for others_K in others_NK]
    assert agreement == pytest.approx(np.mean(votes_N == digits.labels_N), abs=2e-3)


def test_a_map_is_as_good_as_scikit_learns(digits):
    few_ND = digits.known_ND[:400]
    theirs_N2 = TSNE(init="pca", perplexity=30, max_iter=750, random_state=0).fit_transform(few_ND)
    theirs = trustworthiness(few_ND, theirs_N2, n_neighbors=12)
    assert drawn(few_ND).quality.trustworthiness == pytest.approx(theirs, abs=0.01)


def test_points_without_labels_have_no_agreement():
    quality = drawn(random_rows(20), iterations=1).quality
    assert (quality.label_agreement, quality.embedding_label_agreement) == (None, None)


def test_points_without_labels_do_not_count_in_the_agreement():
    rows_ND = np.repeat(np.eye(2, 16, dtype=np.float32), 15, axis=0)
    codes_N = np.repeat([0, -1], 15)
    assert drawn(rows_ND, codes_N, iterations=1).quality.embedding_label_agreement == 1


# Options


def test_the_same_seed_gives_the_same_map_bit_for_bit():
    rows_ND = random_rows(120, 64)
    first, second = (drawn(rows_ND, seed=3, iterations=25).points_N2 for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (drawn(rows_ND, seed=4, iterations=25).points_N2 != first).any()


@pytest.mark.parametrize(
    ("rows", "asked", "used"),
    [(40, 5.0, 5.0), (40, 30.0, 13.0), (20, 30.0, 19 / 3), (4, 1e30, 1.0), (40, 1e-9, 1.0)],
)
def test_the_perplexity_used_fits_the_number_of_points(rows, asked, used):
    assert drawn(random_rows(rows), perplexity=asked, iterations=1).perplexity == used


def test_progress_goes_through_both_phases_from_the_start():
    reports = []
    drawn(random_rows(20), report=reports.append, iterations=25)
    assert reports[0] == maps.MapFrame(maps.EARLY_EXAGGERATION, 0, 275, 0.0)
    assert {frame.phase for frame in reports} == {maps.EARLY_EXAGGERATION, maps.OPTIMIZATION}
    iterations = [frame.iteration for frame in reports]
    assert iterations == sorted(iterations)
    assert (iterations[-1], reports[-1].kl_divergence > 0) == (275, True)


# Few and equal points


@pytest.mark.parametrize("count", [4, 5, 20, 51])
def test_few_points_lie_each_in_its_own_place(count):
    layout = drawn(random_rows(count, 64))
    assert len(np.unique(layout.points_N2, axis=0)) == count
    assert 0 < layout.quality.trustworthiness <= 1


@pytest.mark.parametrize("sizes", [[3, 1], [29, 1], [15, 15], [200, 1, 99]])
def test_equal_points_are_drawn_with_finite_numbers(sizes):
    rows_ND = np.repeat(random_rows(len(sizes), 64), sizes, axis=0)
    layout = drawn(rows_ND, iterations=50)
    assert np.isfinite(layout.points_N2).all()


def test_the_divergence_of_points_that_are_there_twice_is_not_negative():
    assert drawn(np.repeat(random_rows(20, 64), 2, axis=0)).kl_divergence > 0


def test_all_pairs_have_the_librarys_divergence_and_gradient():
    rows_ND, start_N2 = random_rows(40).astype(float), random_rows(40, 2).astype(float)
    affinities_NN = PerplexityBasedNN(rows_ND, perplexity=5, method="exact").P
    exact = {"dof": 1, "bh_params": {"theta": 0.0}, "should_eval_error": True}
    expected, expected_N2 = kl_divergence_bh(start_N2, affinities_NN, **exact)
    divergence, gradient_N2 = tsne_worker._all_pairs(start_N2, affinities_NN)  # noqa: SLF001
    assert divergence == pytest.approx(expected)
    np.testing.assert_allclose(gradient_N2, expected_N2, atol=1e-12)


# Placing


def test_placed_digits_lie_among_their_own(digits, digits_map):
    arrays = digits.known_ND, digits_map.points_N2
    placed_Q2 = tsne_worker.place(*arrays, digits.rest_QD, digits_map.perplexity)
    voters = KNeighborsClassifier(10).fit(digits_map.points_N2, digits.labels_N)
    assert voters.score(placed_Q2, digits.rest_labels_Q) >= 0.95


def test_a_query_is_placed_where_it_is_placed_alone(digits, digits_map):
    arrays = digits.known_ND, digits_map.points_N2
    placed_Q2 = tsne_worker.place(*arrays, digits.rest_QD[:5], 30.0)
    alone_12 = tsne_worker.place(*arrays, digits.rest_QD[4:5], 30.0)
    np.testing.assert_allclose(placed_Q2[4:], alone_12, atol=1e-4)


def test_placing_leaves_the_map_where_it_is(digits, digits_map):
    far_N2 = digits_map.points_N2 + 1000
    far_Q2 = tsne_worker.place(digits.known_ND, far_N2, digits.rest_QD[:20], 30.0)
    near_Q2 = tsne_worker.place(digits.known_ND, digits_map.points_N2, digits.rest_QD[:20], 30.0)
    np.testing.assert_allclose(far_Q2, near_Q2 + 1000, atol=0.1)


@pytest.mark.parametrize("count", [4, 20])
def test_a_query_that_is_an_exemplar_lies_near_it(count):
    rows_ND = random_rows(count)
    layout = drawn(rows_ND)
    placed_Q2 = tsne_worker.place(rows_ND, layout.points_N2, rows_ND, layout.perplexity)
    distances_QN = np.linalg.norm(placed_Q2[:, None] - layout.points_N2, axis=2)
    assert (distances_QN.argmin(axis=1) == np.arange(count)).mean() >= 0.75


def test_a_query_unlike_everything_stays_within_the_map(digits, digits_map):
    strange_QD = unit_rows(np.random.default_rng(1), 20, 64)
    placed_Q2 = tsne_worker.place(digits.known_ND, digits_map.points_N2, strange_QD, 30.0)
    assert np.abs(placed_Q2).max() <= np.abs(digits_map.points_N2).max()
