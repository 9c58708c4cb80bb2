"""Domain adaptation: the mechanisms that accuracy on a small data set would not show."""

import math

import pytest
import torch
from torch import nn

from exemplar_training.adaptation import adversarial, shot, tent
from exemplar_training.adaptation.adabn import adapt_statistics, batch_norms
from exemplar_training.adaptation.coral import coral_loss
from exemplar_training.adaptation.entropy import diversity, entropy
from exemplar_training.adaptation.mcc import mcc_loss
from exemplar_training.adaptation.mmd import mmd_loss
from exemplar_training.errors import TrainingError


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)]
    made = nn.Sequential(*layers).double()
    made(normal(2, 3, 6, 6))
    return made.eval()


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
    labels = torch.arange(4)
    collapsed = torch.zeros(4, 4).index_fill(1, torch.tensor([0]), 100)
    assert shot.shot_loss(100 * torch.eye(4), labels) < shot.shot_loss(torch.zeros(4, 4), labels)
    assert shot.shot_loss(torch.zeros(4, 4), labels) < shot.shot_loss(collapsed, labels)


# AdaBN and TENT


def test_adabn_takes_the_targets_statistics_and_no_weight():
    module = network()
    before = state(module)
    batches = [normal(8, 3, 6, 6, seed=n) * 5 + 3 for n in range(3)]
    adapt_statistics(module, batches)
    convolved = torch.cat([module[0](batch) for batch in batches])
    torch.testing.assert_close(module[1].running_mean, convolved.mean((0, 2, 3)))
    assert changed(module, before) == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    assert not module.training
    assert module[1].momentum == 0.1


def test_adabn_needs_batch_norm_and_images():
    with pytest.raises(TrainingError, match="BatchNorm"):
        adapt_statistics(nn.Linear(1, 1), [normal(1, 1)])
    with pytest.raises(TrainingError, match="at least one batch"):
        adapt_statistics(network(), [])


def test_tent_trains_scale_and_shift_only():
    module = network()
    before = state(module)
    optimizer = torch.optim.SGD(tent.prepare(module), lr=0.1)
    entropy(module(normal(8, 3, 6, 6))).backward()
    optimizer.step()
    assert changed(module, before) - {n for n, _ in module.named_buffers()} == {
        "1.weight",
        "1.bias",
    }
    assert len(batch_norms(module)) == 1


def test_tent_needs_batch_norm():
    with pytest.raises(TrainingError, match="BatchNorm"):
        tent.prepare(nn.Linear(1, 1))
