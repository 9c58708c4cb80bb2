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
    "output_spread": 0.9,
    "positive_similarity": 0.6,
    "negative_similarity": 0.1,
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


def test_outputs_that_are_alike_or_views_that_are_not_yet_are_no_collapse_alone():
    """BYOL's outputs stay alike while views find together; SimSiam's views begin far apart."""
    alike = {"output_spread": 0.5, "positive_similarity": 0.8, "negative_similarity": 0.72}
    apart = {"output_spread": 0.9, "positive_similarity": 0.2, "negative_similarity": 0.19}
    assert collapse(HEALTHY | alike) == collapse(HEALTHY | apart) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"output_spread": 0.27}, "all images give nearly the same output (output_spread 0.27,"),
        ({"effective_rank": 1.3}, "embeddings vary along one direction alone (effective_rank 1.3,"),
        (
            {"output_spread": 0.42, "positive_similarity": 0.82, "negative_similarity": 0.815},
            "two views of one no more than two images (output_spread 0.42, positive_similarity 0.8",
        ),
    ],
)
def test_a_collapse_is_said_in_words(changes, words):
    assert words in collapse(HEALTHY | changes)


def test_the_backbone_is_looked_at_each_epoch_and_at_the_last_step():
    method, batches = ready("simsiam", data__batch=10)  # of 20 images, 7 steps
    watch = method.module.get_submodule("watch")
    assert [step for step in range(7) if watch.is_due(step)] == [0, 2, 4, 6]
    method.loss(batches.at(2))
    with torch.no_grad():
        method.module["embedder"].trunk.blocks[3].norm.weight[1:] = 0  # one channel is left
    _, told = method.loss(batches.at(3))
    assert told["effective_rank"].item() > 2  # of the epoch's first step
    _, told = method.loss(batches.at(4))
    assert told["effective_rank"].item() == pytest.approx(1, abs=0.2)
    assert method.module.training
