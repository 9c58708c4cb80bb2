"""What one layer learns, held to its definition by enumeration and by explicit statistics."""

import itertools

import pytest
import torch
from torch import nn

from exemplar_training.layerwise.learners import Autoencoder, Rbm, layer_numbers
from exemplar_training.layerwise.method import squared_error
from exemplar_training.stacks import Layer, inputs_of_top, stack
from fit_runs import config
from layer_runs import SMALL

VISIBLE, HIDDEN = 4, 3
STATES = torch.tensor(list(itertools.product([0.0, 1.0], repeat=VISIBLE)))


def rbm(*, is_linear=False, scale=1.0):
    torch.manual_seed(0)
    layer = Layer(nn.Linear(VISIBLE, HIDDEN), is_linear=is_linear)
    with torch.no_grad():
        layer.affine.weight.mul_(scale)
    return Rbm(layer, nn.Linear(HIDDEN, VISIBLE))


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def log_likelihood(machine, data):
    """The exact one: the partition function is a sum over all 2^4 states of v."""
    free = machine.free_energy(torch.cat([data, STATES])).double()
    return -free[: len(data)].mean() - (-free[len(data) :]).logsumexp(0)


def test_the_free_energy_sums_over_all_hidden_states():
    machine = rbm()
    weight, bias = machine.layer.affine.weight, machine.layer.affine.bias
    hidden = torch.tensor(list(itertools.product([0.0, 1.0], repeat=HIDDEN)))
    energy = -(
        (STATES @ machine.decoder.bias)[:, None]
        + (hidden @ bias)[None]
        + STATES @ weight.T @ hidden.T
    )
    assert torch.allclose(machine.free_energy(STATES), -(-energy).logsumexp(1), atol=1e-5)


def test_the_exact_log_likelihood_of_a_small_machine_rises():
    machine = rbm()
    data = torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]]).repeat(32, 1)
    optimizer = torch.optim.SGD(machine.parameters(), lr=0.2)
    told = [log_likelihood(machine, data).item()]
    for step in range(300):
        optimizer.zero_grad()
        machine.loss(data, uniform(64, HIDDEN, seed=step))[0].backward()
        optimizer.step()
        machine.after_step()
        if step % 100 == 99:
            told.append(log_likelihood(machine, data).item())
    assert told == sorted(told)
    assert told[0] < -2.5  # near log(1 / 16), which knows nothing
    assert told[-1] > -1.2  # of log(1 / 2), which knows both


@pytest.mark.parametrize("is_linear", [False, True])
def test_the_gradient_is_the_statistics_of_contrastive_divergence(is_linear):
    machine = rbm(is_linear=is_linear)
    data, numbers = uniform(16, VISIBLE, seed=1), uniform(16, HIDDEN, seed=2)
    loss, reconstructed = machine.loss(data, numbers)
    loss.backward()
    hidden, again = machine.layer(data), machine.layer(reconstructed)
    statistics = (hidden.T @ data - again.T @ reconstructed) / 16  # <v h>data - <v h>recon
    affine = machine.layer.affine
    assert torch.allclose(-affine.weight.grad, statistics, atol=1e-6)
    assert torch.allclose(-affine.bias.grad, (hidden - again).mean(0), atol=1e-6)
    visible = (data - reconstructed).mean(0)
    assert torch.allclose(-machine.decoder.bias.grad, visible, atol=1e-6)


def test_hidden_units_are_sampled_by_their_probability_or_with_unit_variance():
    binary, linear = rbm(), rbm(is_linear=True)
    data = torch.full((20_000, VISIBLE), 0.5)
    numbers = uniform(20_000, HIDDEN)
    sampled = binary._sampled(data, numbers)  # noqa: SLF001 - the random half of a step
    assert set(sampled.unique().tolist()) == {0.0, 1.0}
    assert torch.allclose(sampled.mean(0), binary.layer(data)[0], atol=0.015)
    noise = linear._sampled(data, numbers) - linear.layer(data)  # noqa: SLF001 - as above
    assert noise.mean().abs() < 0.02
    assert (noise.std() - 1).abs() < 0.02
    for extreme in (0.0, 1 - 2**-24):
        numbers.fill_(extreme)
        assert linear._sampled(data, numbers).isfinite().all()  # noqa: SLF001 - as above


def test_a_machines_decoder_is_its_layer_transposed():
    machine = rbm()
    assert torch.equal(machine.decoder.weight, machine.layer.affine.weight.T)
    with torch.no_grad():
        machine.layer.affine.weight.add_(1)
    machine.after_step()
    assert torch.equal(machine.decoder.weight, machine.layer.affine.weight.T)


def test_denoising_sees_a_part_and_reconstructs_all():
    layer, decoder = Layer(nn.Linear(VISIBLE, HIDDEN)), nn.Linear(HIDDEN, VISIBLE)
    data, numbers = uniform(16, VISIBLE, seed=1), uniform(16, VISIBLE, seed=2)
    masked = data * (numbers >= 0.4)
    _, reconstructed = Autoencoder(layer, decoder, 0.4).loss(data, numbers)
    assert torch.equal(reconstructed, decoder(layer(masked)).sigmoid())
    loss, _ = Autoencoder(layer, decoder, 0.4).loss(data, numbers)
    expected = -(data * reconstructed.log() + (1 - data) * (1 - reconstructed).log()).mean()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("backbone", ["mlp", "convnet"])
@pytest.mark.parametrize("widths", [(12,), (12, 8), (12, 8, 6)])
def test_a_layers_inputs_are_counted_before_there_is_one(backbone, widths):
    chosen = config(
        method="denoising", **SMALL | {"model__backbone": backbone, "model__widths": list(widths)}
    )
    shape = stack(chosen.model, 0).trunk.shapes()[-2]
    assert layer_numbers(chosen) == inputs_of_top(chosen.model) == torch.Size(shape).numel()


def test_the_squared_error_is_a_mean_over_images_and_values():
    assert squared_error(torch.zeros(2, 3), torch.full((2, 3), 2.0)).item() == 4
