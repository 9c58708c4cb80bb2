"""Training on neighbors: the loss, who is near, and that clusters get tighter."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from exemplar_training.adaptation.neighbors import Neighbors, info_nce, nearest, principal
from exemplar_training.adapter import with_adapter
from exemplar_training.config import ModelConfig, NeighborsConfig, RunConfig
from exemplar_training.errors import ConfigError
from exemplar_training.fit.batches import Batches
from exemplar_training.fit.images import unlabelled
from exemplar_training.small_cnn import small_cnn
from training_images import squares

MODEL = ModelConfig(adapter=8, trained="last_block")


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def method_on(kept_ND, **settings):
    config = RunConfig(method="neighbors", model=MODEL, neighbors=NeighborsConfig(**settings))
    batches = Batches(unlabelled(squares(len(kept_ND))), 32, 32, seed=0, kept_ND=kept_ND)
    backbone = with_adapter(small_cnn(dim=kept_ND.shape[1]), dim=8, width=0, seed=0)
    backbone.trunk.adapter.measure(kept_ND)
    return Neighbors(backbone, batches, config), batches, backbone.trunk.adapter


# The loss


def test_info_nce_is_the_loop_of_its_definition():
    one, other = (nn.functional.normalize(normal(6, 4, seed=seed)) for seed in (1, 2))
    total = 0.0
    for rows, columns in ((one, other), (other, one)):
        for place, row in enumerate(rows):
            logits = [(row @ column).item() / 0.3 for column in columns]
            total += math.log(sum(map(math.exp, logits))) - logits[place]
    loss, told = info_nce(3 * normal(6, 4, seed=1), normal(6, 4, seed=2), 0.3)
    assert loss.item() == pytest.approx(total / 12, rel=1e-5)
    is_first = [(one[b] @ other.T).argmax().item() == b for b in range(6)]
    assert told["agreement"].item() == pytest.approx(np.mean(is_first))


def test_what_says_nothing_costs_the_logarithm_of_the_batch():
    loss, _ = info_nce(normal(256, 512), normal(256, 512, seed=1), 1.0)
    assert loss.item() == pytest.approx(math.log(256), abs=0.01)


# Who is near


def test_the_nearest_are_those_of_brute_force_and_never_the_row_itself(monkeypatch):
    monkeypatch.setattr("exemplar_training.adaptation.neighbors._CHUNK", 16)  # of 50: three parts
    embeddings = normal(50, 5)
    unit = (embeddings / embeddings.norm(dim=1, keepdim=True)).numpy()
    similarities = unit @ unit.T
    np.fill_diagonal(similarities, -np.inf)
    expected = np.argsort(-similarities, axis=1)[:, :7]
    np.testing.assert_array_equal(nearest(embeddings, 7).numpy(), expected)


def test_the_others_are_all_that_there_are():
    found = nearest(torch.ones(4, 3), 3)
    assert [sorted(row) for row in found.tolist()] == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]


def test_principal_components_are_those_of_the_singular_values():
    embeddings = normal(40, 6) * torch.arange(1, 7) + 5
    centered = (embeddings - embeddings.mean(0)).double().numpy()
    left, values, _ = np.linalg.svd(centered, full_matrices=False)
    expected = (left * values)[:, :3][:, ::-1]
    found = principal(embeddings, 3).numpy()
    signs = np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found, expected * signs, atol=1e-3)


def test_more_components_than_channels_are_all_of_them():
    assert principal(normal(20, 4), 64).shape == (20, 4)


# The method


def test_a_positive_is_one_of_the_neighbors_and_each_of_them_comes():
    kept_ND = normal(40, 64)
    method, batches, adapter = method_on(kept_ND, count=4, components=8)
    asked = []
    adapter.register_forward_pre_hook(lambda _, given: asked.append(given[0]))
    seen = set()
    near = nearest(principal(kept_ND, 8), 4).tolist()
    for step in range(20):
        batch = batches.at(step)
        method.loss(batch)
        for row, positive in zip(batch.rows_B.tolist(), asked[-1][32:], strict=True):
            place = (kept_ND == positive).all(1).nonzero().item()
            seen.add(near[row].index(place))
    assert seen == {0, 1, 2, 3}


def test_as_many_neighbors_as_images_are_refused():
    with pytest.raises(ConfigError, match=r"neighbors\.count: expected fewer than 20 .* got 20"):
        method_on(normal(20, 64), count=20)


def test_clusters_that_nobody_named_get_tighter_for_images_that_were_not_there():
    def drawn(count, seed):
        class_ids_N = torch.arange(count) % 6
        embeddings_ND = 0.5 * normal(6, 64)[class_ids_N] + normal(count, 64, seed=seed)
        return nn.functional.normalize(embeddings_ND), class_ids_N

    kept_ND, _ = drawn(240, seed=1)
    method, batches, adapter = method_on(kept_ND, count=20, components=8)
    optimizer = torch.optim.AdamW([p for g in method.groups() for p in g.parameters], lr=0.003)
    method.train()
    for step in range(60):
        optimizer.zero_grad()
        method.loss(batches.at(step))[0].backward()
        optimizer.step()
    embeddings_ND, class_ids_N = drawn(120, seed=2)
    with torch.no_grad():
        adapted_NA = adapter(embeddings_ND)
    # 62 % and 80 %, of which the standardization alone has no part: 61 %
    assert one_shot(adapted_NA, class_ids_N) > one_shot(embeddings_ND, class_ids_N) + 0.1


def one_shot(embeddings_ND, class_ids_N):
    """The share that is right by prototypes of one image each, the mean over all in turn."""
    unit_ND = nn.functional.normalize(embeddings_ND)
    answers = [
        (unit_ND @ unit_ND[first : first + 6].T).argmax(1) for first in range(0, len(unit_ND), 6)
    ]
    return torch.stack([answer_N == class_ids_N for answer_N in answers]).float().mean().item()
