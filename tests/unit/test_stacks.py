"""Backbones that grow: what they are given, how they begin, what they refuse."""

from dataclasses import replace

import pytest
import torch

from exemplar_training.config import ModelConfig
from exemplar_training.embedder import Embedder
from exemplar_training.errors import ConfigError
from exemplar_training.layerwise.decoders import new_decoders
from exemplar_training.stacks import stack
from fit_runs import config

MLP = ModelConfig("mlp", widths=(12, 8, 6), input_size=9)
CONVNET = replace(MLP, backbone="convnet")
IMAGES = torch.randint(0, 256, (5, 9, 9, 3), generator=torch.Generator().manual_seed(0)).byte()


def test_an_mlp_is_given_gray_pixels_between_0_and_1():
    embedder = Embedder(stack(MLP, 0))
    pixels = embedder.trunk.pixels(embedder.normalize(IMAGES))
    gray = IMAGES.float().mean(3) / 255
    assert torch.allclose(pixels, gray.reshape(5, 81), atol=1e-6)


@pytest.mark.parametrize("model", [MLP, CONVNET, replace(MLP, has_linear_code=True)])
def test_a_taller_stack_begins_as_a_lower_one(model):
    tall, low = stack(model, 3).trunk, stack(replace(model, widths=(12, 8)), 3).trunk
    assert torch.equal(tall.layers[0].affine.weight, low.layers[0].affine.weight)
    assert tall(torch.zeros(2, 3, 9, 9)).shape == (2, 6)
    assert stack(model, 0).spec.input_size == 9
    assert stack(replace(model, input_size=0), 0).spec.input_size == 28


def test_only_a_linear_code_leaves_0_to_1():
    images = 20 * torch.randn(64, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    for model in (MLP, CONVNET):
        values = stack(model, 0).trunk(images)
        assert values.min() > 0
        assert values.max() < 1
    assert stack(replace(MLP, has_linear_code=True), 0).trunk(images).min() < 0


@pytest.mark.parametrize("model", [MLP, CONVNET])
@pytest.mark.parametrize("side", [8, 9, 28])
def test_decoders_lead_back_to_the_shape_of_the_pixels(model, side):
    trunk = stack(replace(model, input_size=side), 0).trunk
    image = torch.rand(2, 3, side, side)
    again = new_decoders(trunk, 0).decoded(trunk.code(image))
    assert again.shape == trunk.pixels(image).shape


REFUSED = {
    r"model\.widths: expected one and more of at least 1 with mlp, got none": {
        "model__backbone": "mlp"
    },
    r"model\.widths: expected one and more .* got \[8, 0\]": {
        "model__backbone": "convnet",
        "model__widths": [8, 0],
    },
    r"model\.widths: expected none with small_cnn, got \[8\]": {"model__widths": [8]},
    r"model\.has_linear_code: expected false with convnet, got true": {
        "model__backbone": "convnet",
        "model__widths": [8],
        "model__has_linear_code": True,
    },
    r"model\.backbone: expected mlp or convnet with denoising, got small_cnn": {
        "method": "denoising"
    },
    r"model\.backbone: expected mlp with rbm, got convnet": {
        "method": "rbm",
        "model__backbone": "convnet",
        "model__widths": [8],
    },
    r"augment: expected nothing with autoencoder, .* got AugmentConfig": {
        "method": "autoencoder",
        "model__backbone": "mlp",
        "model__widths": [8],
    },
    r"denoising\.share: expected 0\.01\.\.0\.99, got 1\.0": {"denoising__share": 1.0},
    r"denoising\.share: expected 0\.01\.\.0\.99, got 0\.0": {"denoising__share": 0.0},
}


@pytest.mark.parametrize(("message", "changes"), REFUSED.items(), ids=range(len(REFUSED)))
def test_settings_that_do_not_go_together_are_refused_by_name(message, changes):
    with pytest.raises(ConfigError, match=f"^{message}"):
        config(**changes)
