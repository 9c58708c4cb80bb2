"""Views: each image by its own numbers, and what a domain must not lose stays."""

import dataclasses

import pytest
import torch

from exemplar_training.config import ViewsConfig
from exemplar_training.errors import ConfigError
from exemplar_training.fit.batches import Batches, uniforms
from exemplar_training.self_supervised.color import recolored
from exemplar_training.self_supervised.domains import DOMAINS, Domain, domain_of
from exemplar_training.self_supervised.geometry import boxes
from exemplar_training.self_supervised.views import PAIR_NUMBERS, VIEW_NUMBERS, Pairs, side_of, view
from training_images import squares

STILL = Domain(least_area=1.0)
EVERY = pytest.mark.parametrize("name", list(DOMAINS))


def shown(count=8, side=32):
    images = Batches(squares(count), side, count, seed=0).at(0).image_BHWC
    return images, uniforms(0, 0, count, PAIR_NUMBERS)


def test_a_domain_without_variation_leaves_images_alone():
    images, numbers = shown()
    assert torch.equal(view(images, numbers, STILL, 32), images)


@EVERY
@pytest.mark.parametrize("side", [32, 64])
def test_each_image_is_varied_by_its_own_numbers_alone(name, side):
    images, numbers = shown(side=side)
    whole = view(images, numbers, DOMAINS[name], side)
    assert (whole.dtype, whole.shape) == (torch.uint8, images.shape)
    assert torch.equal(view(images, numbers, DOMAINS[name], side), whole)
    part = view(images[2:5], numbers[2:5], DOMAINS[name], side).int()
    assert (part - whole[2:5].int()).abs().max() <= 1  # sums of another order
    others = view(images, uniforms(0, 1, 8, PAIR_NUMBERS), DOMAINS[name], side)
    assert all((a != b).any() for a, b in zip(whole, others, strict=True))


def test_a_pair_is_two_views_by_numbers_of_their_own():
    batch = Batches(squares(8), 32, 8, seed=0, numbers=PAIR_NUMBERS).at(0)
    domain = DOMAINS["photos"]
    one, other = Pairs(domain, 32).of(batch)
    assert torch.equal(one, view(batch.image_BHWC, batch.uniform_BK, domain, 32))
    second = batch.uniform_BK[:, VIEW_NUMBERS:]
    assert torch.equal(other, view(batch.image_BHWC, second, domain, 32))


def test_a_glyph_is_never_mirrored_nor_upside_down():
    theta_B23 = boxes(uniforms(0, 0, 500, PAIR_NUMBERS), DOMAINS["glyphs"])
    assert torch.linalg.det(theta_B23[:, :, :2]).min() > 0
    assert theta_B23[:, 0, 0].min() > 0.5
    assert theta_B23[:, 1, 1].min() > 0.5


def test_cloth_lies_in_all_eight_ways():
    domain = dataclasses.replace(DOMAINS["textures"], least_area=1.0, aspect=1.0)
    theta_B23 = boxes(uniforms(0, 0, 500, PAIR_NUMBERS), domain)
    assert len({tuple(row) for row in theta_B23[:, :, :2].flatten(1).round().int().tolist()}) == 8


def test_a_box_lies_in_its_image_and_has_its_area():
    theta_B23 = boxes(uniforms(0, 0, 500, PAIR_NUMBERS), DOMAINS["photos"])
    size, center = theta_B23[:, [0, 1], [0, 1]].abs(), theta_B23[:, :, 2]
    assert (center.abs() + size).max() <= 1 + 1e-6
    area = size.prod(1)
    assert area.min() < 0.25
    assert area.max() > 0.9


def test_a_defect_of_twelve_pixels_stays_in_views_of_textures_and_can_be_lost_in_those_of_photos():
    images = torch.full((24, 224, 224, 3), 100, dtype=torch.uint8)
    top, left = (uniforms(1, 0, 24)[:, :2] * 150 + 30).int().unbind(1)
    for row, (y, x) in enumerate(zip(top.tolist(), left.tolist(), strict=True)):
        images[row, y : y + 12, x : x + 12] = 200
    numbers = uniforms(0, 0, 24, PAIR_NUMBERS)

    def is_there_B(name):
        seen = view(images, numbers, DOMAINS[name], 224).float().mean(3).flatten(1)
        return seen.max(1).values > seen.median(1).values + 40

    assert is_there_B("textures").all()
    assert not is_there_B("photos").all()


def test_hue_and_saturation_leave_gray_alone():
    gray = torch.full((8, 4, 4, 3), 100.0)
    domain = dataclasses.replace(STILL, saturation=0.9, hue=0.5, jitter_share=1.0)
    torch.testing.assert_close(recolored(gray, uniforms(0, 0, 8, 9), domain), gray)


def test_hue_turns_red_to_green_at_a_third():
    red = torch.zeros(1, 1, 1, 3)
    red[..., 0] = 90
    numbers = torch.full((1, 9), 0.5)
    numbers[:, 4] = 1.0
    turned = recolored(red, numbers, dataclasses.replace(STILL, hue=1 / 3))
    torch.testing.assert_close(turned, red.roll(1, -1), atol=1e-3, rtol=0)


def test_strokes_get_bolder_and_lighter():
    glyph = torch.full((2, 9, 9, 3), 255.0)
    glyph[:, 3:6] = 0
    numbers = torch.full((2, 9), 0.5)
    numbers[:, 6] = torch.tensor([0.0, 1.0])
    dark = (recolored(glyph, numbers, dataclasses.replace(STILL, stroke=1.0)) == 0).sum((1, 2, 3))
    assert dark.tolist() == [5 * 27, 27]


def test_small_images_are_not_blurred_and_large_ones_are():
    domain = dataclasses.replace(STILL, blur_share=1.0)
    for side, is_blurred in ((32, False), (64, True)):
        edge = torch.zeros(1, side, side, 3)
        edge[:, :, side // 2 :] = 200
        numbers = torch.full((1, 9), 0.9)
        blurred = recolored(edge, numbers, domain)
        assert ((blurred > 1) & (blurred < 199)).any() == is_blurred
        torch.testing.assert_close(blurred.mean(), edge.mean(), rtol=1e-3, atol=0)


def test_a_smaller_view_shows_the_whole():
    images, numbers = shown(side=64)
    small = view(images, numbers, STILL, 32)
    expected = images.float().reshape(8, 32, 2, 32, 2, 3).mean((2, 4))
    assert (small.float() - expected).abs().mean() < 12


def test_images_smaller_than_their_views_are_refused():
    assert (side_of(ViewsConfig(), 32), side_of(ViewsConfig(side=24), 32)) == (32, 24)
    with pytest.raises(ConfigError, match=r"views\.side: expected at most 32 pixels, .* got 64"):
        side_of(ViewsConfig(side=64), 32)


def test_a_crop_takes_the_place_of_the_domains_own():
    assert domain_of(ViewsConfig(crop=0.5)).least_area == 0.5
    assert domain_of(ViewsConfig()) == DOMAINS["photos"]
