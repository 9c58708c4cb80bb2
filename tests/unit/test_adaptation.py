"""Domain adaptation: the mechanisms that accuracy on a small data set would not show."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from exemplar_training.adaptation import adversarial, shot
from exemplar_training.adaptation.adabn import AdaBN
from exemplar_training.adaptation.coral import coral_loss
from exemplar_training.adaptation.entropy import diversity, entropy
from exemplar_training.adaptation.mcc import mcc_loss
from exemplar_training.adaptation.mmd import mmd_loss
from exemplar_training.adaptation.shot import Shot
from exemplar_training.adaptation.tent import Tent
from exemplar_training.config import TWO_DOMAINS, DataConfig, RunConfig
from exemplar_training.errors import FitError, TrainingError
from exemplar_training.fit.batches import Batches, Shard
from exemplar_training.fit.build import method_of
from exemplar_training.fit.images import RunImages, unlabelled
from exemplar_training.small_cnn import small_cnn
from training_images import squares

IMAGES = squares(24)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(module, before):
    """The names of what is not bit for bit as before."""
    return {n for n, value in module.state_dict().items() if not torch.equal(value, before[n])}


# CORAL and MMD


@pytest.mark.parametrize("loss", [coral_loss, mmd_loss])
def test_a_domain_has_no_distance_from_itself(loss):
    same = normal(16, 8)
    assert loss(same, same).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("loss", [coral_loss, mmd_loss])
def test_another_domain_is_further_than_more_of_the_same(loss):
    near = loss(normal(64, 8), normal(64, 8, seed=1))
    assert loss(normal(64, 8), 3 * normal(64, 8, seed=1) + 2) > near + 0.01


def test_coral_does_not_see_a_shift_or_a_common_rotation():
    source, target = normal(32, 8), normal(32, 8, seed=1) * torch.arange(1, 9)
    rotation = torch.linalg.qr(normal(8, 8, seed=2)).Q
    loss = coral_loss(source, target)
    torch.testing.assert_close(coral_loss(source + 5, target), loss)
    torch.testing.assert_close(coral_loss(source @ rotation, target @ rotation), loss)


def test_mmd_is_zero_on_average_where_the_domains_are_one():
    losses = [mmd_loss(normal(16, 4, seed=n), normal(16, 4, seed=n + 500)) for n in range(200)]
    mean, error = torch.stack(losses).mean(), torch.stack(losses).std() / math.sqrt(200)
    assert abs(mean) < 3 * error


@pytest.mark.parametrize("sizes", [(4, 5), (1, 1)])
def test_mmd_says_what_batches_it_needs(sizes):
    with pytest.raises(TrainingError, match=f"got {sizes[0]} and {sizes[1]}"):
        mmd_loss(normal(sizes[0], 2), normal(sizes[1], 2))


# DANN and CDAN


def test_a_reversed_gradient_is_the_gradient_times_minus_the_strength():
    value = normal(3).requires_grad_()
    reversed_ = adversarial.reverse_gradient(value, 0.5)
    assert torch.equal(reversed_, value)
    (reversed_ * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert value.grad.tolist() == [-0.5, -1.0, -1.5]


def test_the_reversal_grows_from_nothing_to_one():
    strengths = [adversarial.reversal_strength(progress / 10) for progress in range(11)]
    assert strengths == sorted(strengths)
    assert (strengths[0], strengths[-1]) == (0, pytest.approx(1, abs=1e-4))


def test_a_step_helps_the_judge_and_hurts_it_through_the_network():
    torch.manual_seed(0)
    judge, trunk = adversarial.discriminator(4).double(), nn.Linear(4, 4).double()
    source, target = normal(32, 4), normal(32, 4, seed=1) + 1

    def loss(strength=1.0):
        return adversarial.domain_loss(judge, trunk(source), trunk(target), strength)

    for module, is_worse in ((judge, False), (trunk, True)):
        before = loss()
        gradients = torch.autograd.grad(before, list(module.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(module.parameters(), gradients, strict=True):
                parameter.sub_(0.01 * gradient)
        assert (loss() > before) == is_worse


def test_conditioning_multiplies_embedding_and_prediction():
    embedding, logits = normal(2, 3), normal(2, 4, seed=1).requires_grad_()
    outer = adversarial.conditioned(embedding, logits)
    expected = torch.outer(logits[1].softmax(0), embedding[1]).flatten()
    torch.testing.assert_close(outer[1], expected.detach())
    assert not outer.requires_grad


# Entropy, MCC, SHOT


def test_entropy_is_of_each_and_diversity_of_all():
    sure_and_diverse = 100 * torch.eye(4)
    assert entropy(sure_and_diverse).item() == pytest.approx(0, abs=1e-6)
    assert diversity(sure_and_diverse).item() == pytest.approx(math.log(4))
    assert entropy(torch.zeros(3, 4)).item() == pytest.approx(math.log(4))


def test_confusion_is_none_for_sure_predictions_and_most_for_unsure_ones():
    assert mcc_loss(100 * torch.eye(4)).item() == pytest.approx(0, abs=1e-6)
    assert mcc_loss(torch.zeros(8, 4)).item() == pytest.approx(3 / 4)


def test_pseudo_labels_are_the_clusters_and_not_the_classifiers_mistakes():
    centers = torch.eye(3, dtype=torch.float64)
    truth = torch.arange(30) % 3
    embeddings = centers[truth] + 0.05 * normal(30, 3)
    guesses = nn.functional.one_hot(truth, 3).double() * 0.5 + 1 / 6
    guesses[:3] = guesses[[1, 2, 0]]  # one image of each class is taken for another
    assert torch.equal(shot.pseudo_labels(embeddings, guesses), truth)


def test_a_class_without_images_gets_none():
    probabilities = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert shot.pseudo_labels(torch.eye(2), probabilities).tolist() == [0, 0]


def test_shot_prefers_sure_and_diverse_predictions():
    def loss(logits):
        return shot.shot_loss(logits, torch.arange(4), weight=0.3)

    collapsed = torch.zeros(4, 4).index_fill(1, torch.tensor([0]), 100)
    assert loss(100 * torch.eye(4)) < loss(torch.zeros(4, 4))
    assert loss(torch.zeros(4, 4)) < loss(collapsed)


# Methods


def network():
    return small_cnn(dim=64), nn.Linear(64, len(IMAGES.class_names))


def batches(**given):
    return Batches(unlabelled(IMAGES), 32, 8, seed=0, **given)


def a_step(method, step=0):
    """The names of what one step changed."""
    before = state(method.module)
    method.train()
    loss, _ = method.loss(batches(target=batches()).at(step))
    if method.groups():
        optimizer = torch.optim.SGD([p for g in method.groups() for p in g.parameters], lr=0.1)
        loss.backward()
        optimizer.step()
    return changed(method.module, before)


def is_statistic(name):
    return name.endswith(("running_mean", "running_var", "num_batches_tracked"))


def test_adabn_takes_the_targets_statistics_and_no_weight():
    backbone, head = network()
    method = AdaBN(backbone, head)
    names = set().union(*(a_step(method, step) for step in range(3)))
    assert names == {name for name in method.module.state_dict() if is_statistic(name)}
    every_BCHW = torch.cat([batches().at(step).image_BHWC for step in range(3)])
    first = backbone.trunk.blocks[0]
    convolved = first.conv(method.module.embedder.normalize(every_BCHW))
    torch.testing.assert_close(first.norm.running_mean, convolved.mean((0, 2, 3)))


def test_tent_trains_scale_and_shift_only():
    names = {name for name in a_step(Tent(*network())) if not is_statistic(name)}
    places = [f"embedder.trunk.blocks.{block}.norm" for block in range(4)]
    assert names == {f"{place}.{kind}" for place in places for kind in ("weight", "bias")}


def test_shot_leaves_the_head_alone_and_labels_all_images():
    method = Shot(*network(), batches(), RunConfig(method="shot"))
    names = a_step(method)
    assert not {name for name in names if name.startswith("head.")}
    assert {"pseudo_N", "embedder.trunk.blocks.0.conv.weight"} < names
    pseudo_N = method.module.pseudo_N.clone()
    a_step(method, step=1)
    assert torch.equal(method.module.pseudo_N, pseudo_N)  # not every step


@pytest.mark.parametrize("method", [AdaBN, Tent])
def test_a_network_without_batch_norm_is_refused(method):
    backbone, head = network()
    with pytest.raises(FitError, match=r"expected .*BatchNorm"):
        method(replace(backbone, trunk=nn.Flatten()), head)


@pytest.mark.parametrize("name", TWO_DOMAINS)
def test_two_domains_learn_and_the_statistics_are_the_targets(name):
    config = RunConfig(method=name)
    backbone, head = network()
    method = method_of(config, backbone, head, batches())
    names = a_step(method, step=500)  # by then the loss between the domains counts
    assert all(name in names for name, _ in method.module.named_parameters())
    target = AdaBN(small_cnn(dim=64), head)
    target.module.embedder.trunk.blocks[0].norm.momentum = 0.1
    a_step(target, step=500)
    first, same = (each.module.embedder.trunk.blocks[0].norm for each in (method, target))
    assert torch.equal(first.running_mean, same.running_mean)
    assert first.num_batches_tracked == 1


def test_two_domains_need_two():
    method = method_of(RunConfig(method="mmd"), *network(), batches())
    with pytest.raises(FitError, match="mmd: expected images of a target, got none"):
        method.loss(batches().at(0))


def test_nothing_tells_a_method_the_targets_labels():
    config = RunConfig(method="shot", target=DataConfig(n_shot=12))
    seen = RunImages(IMAGES, None).batches(config, 32, Shard())
    assert (len(seen.images), set(seen.images.class_ids_N)) == (12, {0})
    both = RunImages(IMAGES, IMAGES).batches(replace(config, method="dann"), 32, Shard())
    assert set(both.target.images.class_ids_N) == {0}
    assert set(both.images.class_ids_N) == set(range(6))
    assert both.at(0).rows_B.tolist() != both.at(0).target.rows_B.tolist()
