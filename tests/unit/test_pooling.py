"""Pooling of inner blocks: the formulas, which blocks run and learn, and wrong choices by name."""

import numpy as np
import pytest
import torch
from torch import nn

from exemplar_training.errors import ConfigError
from exemplar_training.fit.frozen import blocks, learning
from exemplar_training.pooling import POOLINGS, Pooled, all_choices
from exemplar_training.small_cnn import small_cnn

FORMULAS = {
    "average": lambda map_BCP: map_BCP.mean(2),
    "max": lambda map_BCP: map_BCP.max(2),
    "above": lambda map_BCP: map_BCP.max(2) - map_BCP.mean(2),
    "below": lambda map_BCP: map_BCP.mean(2) - map_BCP.min(2),
    "spread": lambda map_BCP: map_BCP.std(2),
}


def images(count=3):
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def trunk():
    return small_cnn(dim=96).trunk


@pytest.mark.parametrize("name", POOLINGS)
def test_a_pooling_is_its_formula(name):
    map_BCHW = torch.randn(2, 5, 4, 3, generator=torch.Generator().manual_seed(0))
    expected_BC = FORMULAS[name](map_BCHW.numpy().reshape(2, 5, 12))
    np.testing.assert_allclose(POOLINGS[name](map_BCHW).numpy(), expected_BC, rtol=1e-5, atol=1e-6)


def test_the_spread_of_a_constant_channel_has_a_gradient():
    map_BCHW = torch.ones(1, 1, 2, 2, requires_grad=True)
    POOLINGS["spread"](map_BCHW).sum().backward()
    assert map_BCHW.grad.isfinite().all()


def test_the_average_of_the_last_block_is_the_backbones_own_embedding():
    plain = trunk()
    torch.testing.assert_close(Pooled(plain, 32, ["3:average"])(images()), plain(images()))


def test_what_is_pooled_stands_side_by_side():
    plain = trunk()
    both = Pooled(plain, 32, ["1:max", "3:spread"])(images())
    assert both.shape == (3, 64 + 96)
    torch.testing.assert_close(both[:, :64], Pooled(plain, 32, ["1:max"])(images()))
    torch.testing.assert_close(both[:, 64:], Pooled(plain, 32, ["3:spread"])(images()))


def test_blocks_after_the_last_that_is_pooled_neither_run_nor_learn():
    pooled = Pooled(trunk(), 32, ["0:above", "1:below"])
    pooled.trunk.blocks[2].forward = None  # to run it would fail
    assert len(blocks(pooled, 32)) == 2
    chosen = learning(pooled, "all", 32)
    pooled(images()).sum().backward()
    learns = [parameter.requires_grad for parameter in pooled.parameters()]
    assert learns == [parameter.grad is not None for parameter in pooled.parameters()]
    assert sum(learns) == sum(len(group.parameters) for group in chosen.groups(1.0)) == 6


def test_the_last_block_of_a_pooled_backbone_is_the_last_that_is_pooled():
    pooled = Pooled(trunk(), 32, ["2:max", "1:max"])
    learning(pooled, "last_block", 32)
    learns = {name for name, each in pooled.named_parameters() if each.requires_grad}
    assert learns
    assert all(name.startswith("trunk.blocks.2.") for name in learns)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("0", "expected BLOCK:POOLING with a pooling of average, max, above, below, spread"),
        ("0:mean", "got '0:mean'"),
        ("4:max", r"model\.pooled: expected blocks 0\.\.3, got 4"),
    ],
)
def test_a_choice_that_is_none_is_named(choice, message):
    with pytest.raises(ConfigError, match=message):
        Pooled(trunk(), 32, [choice])


def test_a_block_that_gives_no_map_is_named_and_not_among_the_choices():
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(36, 2))
    with pytest.raises(ConfigError, match=r"block 1: expected a map .*, got \(1, 2\)"):
        Pooled(layers, 5, ["1:max"])
    assert all_choices(layers, 5) == tuple(f"0:{name}" for name in POOLINGS)
