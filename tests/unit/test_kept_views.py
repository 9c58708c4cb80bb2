"""Kept views: which two of an image's views meet, and that they are what `view` shows."""

import numpy as np
import pytest
import torch

from exemplar_training.config import ModelConfig, RunConfig, ViewsConfig
from exemplar_training.errors import ConfigError
from exemplar_training.fit.batches import Batches
from exemplar_training.self_supervised import kept_views
from exemplar_training.self_supervised.domains import DOMAINS
from exemplar_training.self_supervised.kept_views import KeptPairs, pairs_of, views_below_adapter
from exemplar_training.self_supervised.views import PAIR_NUMBERS, VIEW_NUMBERS, view
from exemplar_training.small_cnn import small_cnn
from training_images import squares

ADAPTED = ModelConfig(adapter=8, trained="last_block")


def batches(images, count, batch=6):
    """What is kept of view v of image n is (n, v)."""
    kept_ND = torch.cartesian_prod(torch.arange(images), torch.arange(count)).float()
    return Batches(squares(images), 32, batch, 0, kept_ND=kept_ND, numbers=PAIR_NUMBERS)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_pair_is_two_different_views_of_one_image_and_all_pairs_occur(count):
    made = batches(4, count)
    seen = set()
    for step in range(40):
        batch = made.at(step)
        one_BD, other_BD = pairs_of(ViewsConfig(kept=count), made).of(batch)
        assert one_BD[:, 0].tolist() == other_BD[:, 0].tolist() == batch.rows_B.tolist()
        seen |= set(zip(one_BD[:, 1].tolist(), other_BD[:, 1].tolist(), strict=True))
    assert seen == {(a, b) for a in range(count) for b in range(count) if a != b}


def test_the_highest_number_below_one_draws_the_last_view():
    made = batches(4, 3)
    batch = made.at(0)
    batch.uniform_BK.fill_(np.nextafter(np.float32(1), np.float32(0)))
    one_BD, other_BD = KeptPairs(made.kept_ND, 3).of(batch)
    assert set(one_BD[:, 1].tolist()) == {2}
    assert set(other_BD[:, 1].tolist()) == {1}


@pytest.mark.parametrize("part", [1, 4])
def test_what_is_kept_is_of_views_by_the_seed_however_images_are_cut(part, monkeypatch):
    images, views = squares(8), ViewsConfig(kept=2, side=16)
    config = RunConfig(seed=3, method="simclr", views=views, model=ADAPTED)
    pixels_NHWC = Batches(images, 32, 8, seed=0).pixels(range(8))

    def embedded(_backbone, _images, side, shown):
        assert side == 16
        starts = range(0, 8, part)
        return np.concatenate([shown(n, pixels_NHWC[n : n + part].numpy()) for n in starts])

    monkeypatch.setattr(kept_views, "embedded_below_adapter", embedded)
    shown_NHWC = views_below_adapter(small_cnn(input_size=32), images, config)
    numbers = np.random.default_rng((3, 4)).random((16, VIEW_NUMBERS), dtype=np.float32)
    twice_NHWC = pixels_NHWC.repeat_interleave(2, dim=0)
    expected = view(twice_NHWC, torch.from_numpy(numbers), DOMAINS["photos"], 16).int()
    assert (expected - torch.from_numpy(shown_NHWC).int()).abs().max() <= 1  # sums of another order


def test_one_view_is_no_pair():
    with pytest.raises(ConfigError, match=r"views\.kept: expected 2 or more, .*, got 1"):
        RunConfig(method="simclr", model=ADAPTED, views=ViewsConfig(kept=1))


@pytest.mark.parametrize("model", [ModelConfig(), ModelConfig(adapter=8)])
def test_views_are_kept_only_below_an_adapter_that_learns_alone(model):
    with pytest.raises(ConfigError, match=r"views\.kept: expected simclr, .* got simclr, \d and"):
        RunConfig(method="simclr", model=model, views=ViewsConfig(kept=2))
