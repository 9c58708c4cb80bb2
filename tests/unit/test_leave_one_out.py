"""Leave-one-out: what the others answer is what a support set without the exemplar answers."""

import numpy as np
import pytest

from exemplar_server.core import heads
from exemplar_server.core.leave_one_out import LeftOut
from fakes import unit_rows


def taught(seed, labels=3, each=5, dim=16):
    rng = np.random.default_rng(seed)
    centers = np.repeat(unit_rows(rng, labels, dim), each, axis=0)
    rows = centers + 0.3 * unit_rows(rng, labels * each, dim)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit.astype(np.float32), np.repeat(np.arange(labels), each)


def answered(embeddings_ND, codes_N, query_D, head):
    """The shares of the plain heads, computed for one query."""
    if head == heads.PROTOTYPE:
        return heads.softmax(heads.prototypes(embeddings_ND, codes_N, 3) @ query_D)
    similarities_N = embeddings_ND @ query_D
    near = np.argsort(-similarities_N)[:5]
    return heads.votes(codes_N[near], similarities_N[near], 3, heads.DEFAULT_TEMPERATURE)


@pytest.mark.parametrize("head", [heads.PROTOTYPE, heads.KNN])
def test_shares_are_those_of_the_rest(head):
    embeddings_ND, codes_N = taught(0)
    shares_NL = LeftOut(embeddings_ND, codes_N, 3).shares(head)
    for row in range(len(codes_N)):
        rest = np.arange(len(codes_N)) != row
        expected_L = answered(embeddings_ND[rest], codes_N[rest], embeddings_ND[row], head)
        np.testing.assert_allclose(shares_NL[row], expected_L, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_exemplars_is_irrelevant_to_the_best_head(seed):
    embeddings_ND, codes_N = taught(seed)
    order = np.random.default_rng(seed).permutation(len(codes_N))
    best = LeftOut(embeddings_ND, codes_N, 3).best_head(5)
    assert LeftOut(embeddings_ND[order], codes_N[order], 3).best_head(5) == best


def test_one_exemplar_a_label_is_answered_by_prototypes():
    embeddings_ND = unit_rows(np.random.default_rng(0), 4, 16)
    assert LeftOut(embeddings_ND, np.arange(4), 4).best_head(5) == heads.PROTOTYPE


def test_neighbors_are_picked_where_prototypes_cannot_tell():
    """Two labels around the same mean: one on two far sides, one between."""
    rng = np.random.default_rng(0)
    angles = np.concatenate([np.repeat([0.0, 2.0], 6), np.full(9, 1.0)]) + rng.normal(0, 0.05, 21)
    embeddings_ND = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    codes_N = np.array([0] * 12 + [1] * 9)
    assert LeftOut(embeddings_ND, codes_N, 2).best_head(5) == heads.KNN
