"""What is watched while nobody has labels: ranks, spreads, similarities, and collapse in words."""

import pytest
import torch
from torch import nn

from exemplar_training.self_supervised.watching import (
    collapse,
    effective_rank,
    similarities,
    spread,
)
from ssl_runs import ready

HEALTHY = {
    "epoch": 3.0,
    "effective_rank": 12.0,
    "rank_kept": 0.9,
    "output_spread": 0.9,
}


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_effective_rank_counts_equal_directions():
    for count in (1, 3, 8):
        axes = torch.eye(8)[:count]
        rows = torch.cat([axes, -axes]) + 5  # the mean does not count
        assert effective_rank(rows).item() == pytest.approx(count, rel=1e-4)


def test_noise_along_many_directions_hardly_counts():
    """Sixty of a hundredth of the length: by singular values they would be five more."""
    rows = torch.cat([normal(4000, 3), 0.01 * normal(4000, 60, seed=1)], dim=1)
    assert effective_rank(rows).item() == pytest.approx(3, abs=0.2)


def test_unequal_directions_count_less_and_equal_embeddings_one():
    scaled = torch.cat([torch.diag(torch.tensor([1.0, 1e-3])), -torch.eye(2)])
    assert 1 < effective_rank(scaled).item() < 2
    assert effective_rank(torch.ones(6, 4)).item() == 1
    assert effective_rank(torch.full((6, 4), torch.nan)).isnan()


def test_the_spread_is_zero_for_equals_and_one_around_the_sphere():
    assert spread(torch.ones(6, 4)).item() == pytest.approx(0, abs=1e-3)
    axes = torch.eye(4)
    assert spread(torch.cat([axes, -axes])).item() == pytest.approx(1)
    rows = nn.functional.normalize(normal(50, 6) + 1)
    assert spread(7 * rows).item() == pytest.approx(rows.var(0, correction=0).sum().sqrt().item())


def test_similarities_are_the_means_over_pairs_that_belong_together_and_that_do_not():
    one, other = (nn.functional.normalize(normal(6, 4, seed=seed)) for seed in (1, 2))
    cosines = one @ other.T
    told = similarities(3 * one, other)
    assert told["positive_similarity"].item() == pytest.approx(cosines.diag().mean().item())
    is_other = ~torch.eye(6, dtype=torch.bool)
    assert told["negative_similarity"].item() == pytest.approx(cosines[is_other].mean().item())


def test_what_varies_is_no_collapse_and_the_first_epoch_is_no_verdict():
    assert collapse(HEALTHY) == ""
    assert collapse({"loss": 1.0, "epoch": 9.0}) == ""  # of a method with labels
    assert collapse(HEALTHY | {"output_spread": 0.0, "epoch": 0.5}) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"output_spread": 0.27}, "all images give nearly the same output (output_spread 0.27,"),
        ({"effective_rank": 1.5}, "embeddings vary along one direction alone (effective_rank 1.5,"),
        ({"rank_kept": 0.4}, "less than half of the directions that they had"),
    ],
)
def test_a_collapse_is_said_in_words(changes, words):
    assert words in collapse(HEALTHY | changes)


def test_what_a_new_network_varies_along_is_not_held_against_a_trained_one():
    method, _ = ready("simsiam", schedule__steps=100)
    watch = method.module.get_submodule("watch")
    watch.look(9)
    assert watch.told()["rank_kept"].item() == 1
    assert watch.highest_rank.item() == 0
    watch.look(10)
    assert watch.highest_rank.item() == watch.effective_rank.item() > 1


def test_the_backbone_is_looked_at_each_epoch_and_at_the_last_step():
    method, batches = ready("simsiam", data__batch=10)  # of 20 images, 7 steps
    watch = method.module.get_submodule("watch")
    assert [step for step in range(7) if watch.is_due(step)] == [0, 2, 4, 6]
    _, told = method.loss(batches.at(0))
    assert told["rank_kept"].item() == 1  # of an untrained network
    method.loss(batches.at(2))
    with torch.no_grad():
        method.module["embedder"].trunk.blocks[3].norm.weight[1:] = 0  # one channel is left
    _, told = method.loss(batches.at(3))
    assert told["rank_kept"].item() == 1
    _, told = method.loss(batches.at(4))
    assert told["effective_rank"].item() == pytest.approx(1, abs=0.2)
    assert told["rank_kept"].item() < 0.5
    assert method.module.training
