"""Adapters: what they measure, what learns beside them, and which methods take kept embeddings."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from exemplar_training.adapter import Adapter, with_adapter
from exemplar_training.config import (
    SOURCE_FREE,
    TWO_DOMAINS,
    AugmentConfig,
    ModelConfig,
    RunConfig,
)
from exemplar_training.embedder import Embedder
from exemplar_training.errors import ConfigError, FitError
from exemplar_training.fit.frozen import learning
from exemplar_training.small_cnn import small_cnn

ADAPTED = ModelConfig(adapter=8, trained="last_block")


def normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_an_adapter_standardizes_what_it_measured_and_leaves_silent_channels_out():
    embeddings_ND = normal(50, 4) * torch.tensor([1.0, 3.0, 1e-6, 0.0]) + 2
    adapter = Adapter(4, 2, 0)
    adapter.measure(embeddings_ND)
    standardized_ND = adapter.standardized(embeddings_ND)
    torch.testing.assert_close(standardized_ND.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(standardized_ND.std(0), torch.tensor([1.0, 1.0, 0.0, 0.0]))


@pytest.mark.parametrize("count", [1, 3])
def test_images_that_are_all_alike_are_refused(count):
    with pytest.raises(FitError, match=rf"images that differ, got {count} that embed alike"):
        Adapter(4, 2, 0).measure(torch.ones(count, 4))


def test_an_adapter_is_the_last_block_with_its_hidden_layer():
    backbone = with_adapter(small_cnn(dim=64), dim=8, width=16, seed=0)
    assert backbone.trunk(normal(2, 3, 32, 32)).shape == (2, 8)
    learning(backbone.trunk, "last_block", 32)
    learns = {name for name, each in backbone.trunk.named_parameters() if each.requires_grad}
    layers = ("0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias")
    assert learns == {f"adapter.layers.{name}" for name in layers}


def test_an_adapter_stands_on_what_would_be_served_without_it():
    plain = small_cnn(dim=64)
    plain = replace(plain, spec=replace(plain.spec, power=0.5))
    adapted = with_adapter(plain, dim=8, width=0, seed=0)
    image_BHWC = (normal(2, 32, 32, 3) * 50 + 128).clamp(0, 255).to(torch.uint8)
    with torch.no_grad():
        served_BD = Embedder(plain).eval()(image_BHWC)
        expected_BA = nn.functional.normalize(adapted.trunk.adapter(served_BD))
        torch.testing.assert_close(Embedder(adapted).eval()(image_BHWC), expected_BA)


def test_a_root_of_nothing_has_a_gradient_where_all_of_the_backbone_learns():
    plain = small_cnn(dim=64)
    plain = replace(plain, spec=replace(plain.spec, power=0.5))
    with torch.no_grad():
        plain.trunk.blocks[3].norm.bias[:8] = -100  # eight channels say nothing, ever
    trunk = with_adapter(plain, dim=8, width=0, seed=0).trunk
    learning(trunk, "all", 32)
    trunk(normal(2, 3, 32, 32)).sum().backward()
    assert all(each.grad.isfinite().all() for each in trunk.parameters())


# What is computed once


def test_embeddings_are_kept_where_only_the_adapter_learns_from_images_as_they_are():
    kept = RunConfig(model=ADAPTED)
    assert kept.has_kept
    assert not replace(kept, augment=AugmentConfig(flip=True)).has_kept
    assert not replace(kept, supervised=replace(kept.supervised, turned=True)).has_kept
    assert not replace(kept, model=replace(ADAPTED, trained="all")).has_kept
    assert not replace(kept, model=replace(ADAPTED, adapter=0)).has_kept


@pytest.mark.parametrize("method", [*SOURCE_FREE, *TWO_DOMAINS])
def test_methods_that_read_pixels_get_them(method):
    assert not RunConfig(method=method, model=ADAPTED).has_kept


@pytest.mark.parametrize("model", [ModelConfig(trained="last_block"), ModelConfig(adapter=8)])
def test_neighbors_that_would_teach_more_than_an_adapter_are_refused(model):
    with pytest.raises(ConfigError, match=r"method: neighbors: expected model\.adapter, .* got"):
        RunConfig(method="neighbors", model=model)
