"""The mechanisms that learning without labels stands on, each against its definition."""

import importlib
import importlib.util
import math
from collections import deque
from pathlib import Path

import pytest
import torch
from torch import nn

from exemplar_training import config_file
from exemplar_training.config import SELF_SUPERVISED
from exemplar_training.self_supervised.byol import byol_loss, tau_at
from exemplar_training.self_supervised.moco import Queue, in_parts, moco_loss, shuffled
from exemplar_training.self_supervised.simclr import nt_xent
from exemplar_training.self_supervised.simsiam import distance
from exemplar_training.torchvision_cure import torchvision_module
from ssl_runs import ready

HAS_LIGHTLY = importlib.util.find_spec("lightly") is not None
WITHOUT_LIGHTLY = "lightly is not installed: pip install --no-deps lightly"


def normal(*shape, seed=0, **options):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), **options)


def unit(*shape, seed=0):
    return nn.functional.normalize(normal(*shape, seed=seed, dtype=torch.float64))


@pytest.mark.parametrize("method", SELF_SUPERVISED)
@pytest.mark.parametrize("name", ["letters_without_labels", "cifar10_resnet18_without_labels"])
def test_each_configuration_without_labels_is_one_for_each_method(name, method):
    path = Path(config_file.__file__).parent / f"configs/{name}.toml"
    chosen = config_file.read(path, [f"method={method}"])
    assert chosen.is_self_supervised
    assert chosen.moco.queue % chosen.data.batch == 0
    assert chosen.data.batch % chosen.moco.splits == 0


def gradients(method):
    return {n: p.grad.clone() for n, p in method.module.named_parameters() if p.grad is not None}


# SimCLR


@pytest.mark.parametrize("temperature", [0.1, 0.5, 3.0])
def test_nt_xent_is_the_double_loop_of_its_equation(temperature):
    one, other = unit(5, 7, seed=1), unit(5, 7, seed=2)
    z = [*one, *other]
    total = 0.0
    for i in range(10):
        j = (i + 5) % 10
        others = [math.exp((z[i] @ z[k]).item() / temperature) for k in range(10) if k != i]
        total -= math.log(math.exp((z[i] @ z[j]).item() / temperature) / sum(others))
    loss = nt_xent(3 * one, other / 2, temperature)
    assert loss.item() == pytest.approx(total / 10, abs=1e-9)


def test_the_higher_the_temperature_the_nearer_random_features_are_to_log_of_all_others():
    for count in (4, 32):
        one, other = unit(count, 8, seed=1), unit(count, 8, seed=2)
        gaps = [abs(nt_xent(one, other, t).item() - math.log(2 * count - 1)) for t in (1, 10, 1e4)]
        assert gaps == sorted(gaps, reverse=True)
        assert gaps[-1] < 1e-3


@pytest.mark.skipif(not HAS_LIGHTLY, reason=WITHOUT_LIGHTLY)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_the_losses_are_those_of_lightly(temperature):
    torchvision_module("torchvision")  # or lightly cannot import it beside a CPU torch
    loss = importlib.import_module("lightly.loss")
    one, other = normal(16, 32, seed=1), normal(16, 32, seed=2)
    theirs = loss.NTXentLoss(temperature=temperature)(one, other)
    assert nt_xent(one, other, temperature).item() == pytest.approx(theirs.item(), abs=1e-6)
    theirs = loss.NegativeCosineSimilarity()(one, other)
    assert distance(one, other).item() == pytest.approx(theirs.item(), abs=1e-6)
    bank = loss.NTXentLoss(temperature=temperature, memory_bank_size=(64, 32))
    bank(normal(64, 32, seed=3), normal(64, 32, seed=4).requires_grad_())  # fills it
    unit_one, unit_other = (nn.functional.normalize(each) for each in (one, other))
    queue = bank.memory_bank.bank.clone()
    queue = queue.T if queue.shape[0] == 32 else queue
    theirs = bank(one, other)
    ours = moco_loss(unit_one, unit_other, queue, temperature)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)


# Stop-gradient: SimSiam, BYOL


@pytest.mark.parametrize("loss_of", [distance, byol_loss])
def test_what_is_predicted_gets_no_gradient_at_all(loss_of):
    p, z = normal(6, 4, seed=1).requires_grad_(), normal(6, 4, seed=2).requires_grad_()
    to_p, to_z = torch.autograd.grad(loss_of(p, z), (p, z), allow_unused=True)
    assert to_p.abs().sum() > 0
    assert to_z is None


def test_the_distances_are_those_of_the_papers():
    p, z = unit(6, 4, seed=1), unit(6, 4, seed=2)
    assert distance(3 * p, 2 * z).item() == pytest.approx(-(p * z).sum(1).mean().item())
    squared = ((p - z) ** 2).sum(1).mean().item()
    assert byol_loss(3 * p, 2 * z).item() == pytest.approx(squared)


def test_simsiam_learns_from_its_predictions_alone(monkeypatch):
    method, batches = ready("simsiam", optimizer__ema_decay=0.0)
    batch = batches.at(0)
    seen = []
    real = nn.functional.cosine_similarity

    def noted(p, z, dim):
        seen.append((p, z))
        return real(p, z, dim)

    monkeypatch.setattr(nn.functional, "cosine_similarity", noted)
    loss, _ = method.loss(batch)
    assert [z.requires_grad for _, z in seen] == [False, False]
    assert all(p.requires_grad for p, _ in seen)
    loss.backward()
    with_gradient = {name for name, each in gradients(method).items() if each.any()}
    assert {"projector.0.weight", "predictor.0.weight", "predictor.3.weight"} <= with_gradient


def test_byols_target_gets_no_gradient_and_its_predictor_does():
    method, batches = ready("byol")
    method.loss(batches.at(0))[0].backward()
    with_gradient = gradients(method)
    assert not any(name.startswith("target.") for name in with_gradient)
    assert with_gradient["predictor.0.weight"].abs().sum() > 0
    assert with_gradient["embedder.trunk.blocks.0.conv.weight"].abs().sum() > 0
    learning = {id(each) for group in method.groups() for each in group.parameters}
    target = method.module["target"].parameters()
    assert not any(id(each) in learning or each.requires_grad for each in target)


def test_tau_rises_from_its_base_to_one():
    assert tau_at(0, 10, 0.9) == pytest.approx(0.9)
    assert tau_at(5, 10, 0.9) == pytest.approx(0.95)
    assert tau_at(10, 10, 0.9) == pytest.approx(1.0)


# Slow copies: BYOL, MoCo


@pytest.mark.parametrize(
    ("name", "copy", "momentum"), [("byol", "target", 0.9), ("moco", "f_k", 0.9)]
)
def test_a_slow_copy_is_exactly_the_average_batchnorms_statistics_too(name, copy, momentum):
    method, batches = ready(name, **{f"{name}__momentum": momentum})
    optimizer = torch.optim.SGD([p for g in method.groups() for p in g.parameters], lr=0.5)
    online = {"embedder", "projector"}
    for step in range(3):
        before = state_of(method.module[copy].network, online)
        method.loss(batches.at(step))[0].backward()
        optimizer.step()
        method.after_step(step)
        after, now = state_of(method.module[copy].network, online), state_of(method.module, online)
        weight = tau_at(step, 7, momentum) if name == "byol" else momentum
        assert any("running_var" in key for key in now)
        for key, value in now.items():
            if value.is_floating_point():
                expected = weight * before[key] + (1 - weight) * value
                torch.testing.assert_close(after[key], expected, rtol=1e-6, atol=1e-7)
            else:
                assert torch.equal(after[key], value)
    assert not torch.equal(now["embedder.trunk.blocks.0.norm.running_mean"], torch.zeros(64))


def state_of(module, parts):
    return {
        name: value.clone()
        for name, value in module.state_dict().items()
        if name.partition(".")[0] in parts
    }


@pytest.mark.parametrize(("name", "copy"), [("byol", "target"), ("moco", "f_k")])
def test_what_is_frozen_is_frozen_in_the_copy_too(name, copy):
    method, _ = ready(name, model__trained="last_block")
    blocks = method.module[copy].network.embedder.trunk.blocks
    assert [block.training for block in blocks] == [False, False, False, True]


# MoCo


def test_the_queue_is_first_in_first_out():
    queue = Queue(12, 3)
    expected = deque([*queue.keys_KD.clone()], maxlen=12)
    for step, count in enumerate((4, 4, 4, 4, 6, 6, 2)):
        keys = normal(count, 3, seed=step)
        queue.enqueue(keys, step)
        expected.extend(keys)
        in_order = queue.keys_KD.roll(-int(queue.place), 0)
        assert torch.equal(in_order, torch.stack([*expected]))
    assert queue.born_K.sort().values.tolist() == [4] * 4 + [5] * 6 + [6] * 2


def test_a_keys_age_is_counted_in_steps_and_random_keys_have_none():
    queue = Queue(8, 2)
    assert queue.age(5).item() == 0
    queue.enqueue(normal(4, 2), 5)
    assert queue.age(6).item() == 1
    queue.enqueue(normal(4, 2), 6)
    assert queue.age(7).item() == 1.5


def test_mocos_loss_is_the_explicit_softmax_over_the_key_and_the_queue():
    q, k, queue = unit(5, 4, seed=1), unit(5, 4, seed=2), unit(9, 4, seed=3)
    total = 0.0
    for query, key in zip(q, k, strict=True):
        positive = math.exp((query @ key).item() / 0.2)
        negatives = [math.exp((query @ old).item() / 0.2) for old in queue]
        total -= math.log(positive / (positive + sum(negatives)))
    assert moco_loss(q, k, queue, 0.2).item() == pytest.approx(total / 5, abs=1e-9)


def test_keys_have_no_gradient_and_enter_the_queue_after_the_step():
    method, batches = ready("moco")
    queue = method.module["queue"]
    before = queue.keys_KD.clone()
    loss, _ = method.loss(batches.at(0))
    assert torch.equal(queue.keys_KD, before)
    method.after_step(0)  # before the gradients: they are of the queue as it was
    assert not torch.equal(queue.keys_KD[:8], before[:8])
    assert torch.equal(queue.keys_KD[8:], before[8:])
    loss.backward()
    assert not any(name.startswith("f_k.") for name in gradients(method))
    assert not queue.keys_KD.requires_grad


def test_shuffling_is_undone():
    images, order = normal(12, 3), torch.randperm(12, generator=torch.Generator().manual_seed(1))
    assert torch.equal(shuffled(nn.Identity(), images, order, 3), images)


def test_queries_and_keys_are_normalized_by_other_images():
    seen = []

    def noting(rows):
        seen.append(set(rows[:, 0].tolist()))
        return rows

    images = torch.arange(12.0)[:, None]
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    in_parts(noting, images, 3)
    shuffled(noting, images, order, 3)
    queries, keys = seen[:3], seen[3:]
    assert set().union(*queries) == set().union(*keys) == set(range(12))
    assert not any(part in keys for part in queries)


def test_each_step_shuffles_keys_anew():
    _, batches = ready("moco")
    orders = [batches.at(step).uniform_BK[:, -1].argsort().tolist() for step in range(3)]
    assert len({tuple(order) for order in orders}) == 3
