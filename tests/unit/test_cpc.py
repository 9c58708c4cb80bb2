"""CPC: its loss is its definition, and a context sees nothing below its row."""

import math

import pytest
import torch
from torch import nn

from exemplar_training.self_supervised.cpc import Context, cut, info_nce
from ssl_runs import ready


def normal(*shape, seed=0, **options):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), **options)


def unit(*shape, seed=0):
    return nn.functional.normalize(normal(*shape, seed=seed, dtype=torch.float64))


def test_info_nce_is_the_loop_of_its_definition():
    predicted, candidates = unit(4, 9, seed=1), unit(6, 9, seed=2)
    own = torch.tensor([5, 0, 3, 2])
    total = 0.0
    for row, place in zip(predicted, own, strict=True):
        logits = [(row @ each).item() / 3 for each in candidates]
        total -= math.log(math.exp(logits[place]) / sum(map(math.exp, logits)))
    assert info_nce(predicted, candidates, own).item() == pytest.approx(total / 4, abs=1e-9)


@pytest.mark.parametrize("row", [0, 1, 2, 3])
def test_the_context_does_not_see_below_its_row(row):
    torch.manual_seed(0)
    context = Context(8, blocks=4)
    z = normal(2, 5, 5, 8)
    changed = z.clone()
    changed[:, row + 1 :] += normal(2, 4 - row, 5, 8, seed=1)
    before, after = context(z), context(changed)
    assert torch.equal(before[:, : row + 1], after[:, : row + 1])
    is_moved = (before[:, row + 1 :] != after[:, row + 1 :]).any(3)
    assert is_moved.all()


def test_no_pixel_below_a_row_of_patches_moves_its_context_batchnorm_or_not():
    """Patches of 16 pixels begin at 0, 8, .. 48: row r ends at pixel 8 r + 16."""
    method, batches = ready("cpc", model__input_size=64)
    paper = method._paper  # noqa: SLF001 - the contexts are no output
    image_BHWC = batches.at(0).image_BHWC

    def contexts(image_BHWC):
        rows = cut(image_BHWC, 16).unbind(1)
        return paper.contexts(paper.encoded(tuple(row.flatten(0, 1) for row in rows)))

    first = contexts(image_BHWC)
    assert first.shape[1:3] == (7, 7)
    for row in (0, 2, 5):
        changed_BHWC = image_BHWC.clone()
        changed_BHWC[:, 8 * row + 16 :] = 255 - changed_BHWC[:, 8 * row + 16 :]
        other = contexts(changed_BHWC)
        assert torch.equal(other[:, : row + 1], first[:, : row + 1])
        assert (other[:, row + 1] != first[:, row + 1]).any(2).all()


def test_a_view_is_cut_into_the_patches_that_cpc_is_shown():
    _, batches = ready("cpc")
    image_BHWC = batches.at(0).image_BHWC
    patches = cut(image_BHWC, 16)
    assert patches.shape == (8, 3, 3, 16, 16, 3)
    assert torch.equal(patches[:, 2, 1], image_BHWC[:, 16:32, 8:24])
