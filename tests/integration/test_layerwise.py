"""Stacks that learn layer by layer as runs: what stays, what moves, stopped, refused, exported."""

import signal

import numpy as np
import onnxruntime
import pytest
import torch

from exemplar_server.core.artifact import golden_images, load_artifact
from exemplar_training import cli
from exemplar_training.embedder import Embedder, unit
from exemplar_training.errors import CheckpointError, ConfigError
from exemplar_training.evaluation.untrained import untrained
from exemplar_training.fit import checkpoint
from exemplar_training.fit.batches import Shard
from exemplar_training.fit.build import backbone_of, method_of
from exemplar_training.fit.images import RunImages
from exemplar_training.fit.run import RunRequest, run
from exemplar_training.fit.trained import trained_backbone
from exemplar_training.layerwise import given
from exemplar_training.layerwise.measured import reconstruction_errors
from exemplar_training.layerwise.start import decoders_of
from fit_runs import IMAGES, assert_equal, config, content, fit, told
from layer_runs import SMALL, WIDTHS, grown, stage
from training_images import squares

pytestmark = pytest.mark.usefixtures("one_thread")
LEARNERS = ("rbm", "autoencoder", "denoising", "conv")
EVERY = pytest.mark.parametrize("name", LEARNERS)


def learner(name):
    """Its method, and what is not as SMALL has it."""
    return ("autoencoder", {"model__backbone": "convnet"}) if name == "conv" else (name, {})


def tuning(name, top, widths=WIDTHS):
    """Settings of a run that starts from `top` and trains all of it."""
    start = {"model__trained": "all", "model__widths": list(widths), "model__init": str(top)}
    return SMALL | learner(name)[1] | start


@pytest.fixture(scope="module")
def runs(one_thread, tmp_path_factory):
    """Three layers of each kind that nothing interrupted, 7 steps each, then all unrolled."""
    out = tmp_path_factory.mktemp("layers")
    for name in LEARNERS:
        method, changes = learner(name)
        top = grown(out / name, method, **changes)
        fit(out / name / "unrolled", method="unrolled", **tuning(name, top))
    return out


def layers(run_folder):
    """The state of each layer of a run's stack and of each decoder: what the next run is given."""
    state, found = content(run_folder)["ema"], {}
    for key, value in state.items():
        if ".layers." in key or key.startswith("decoders."):
            place = key.removeprefix("embedder.trunk.").split(".")[:2]
            found.setdefault(".".join(place), {})[key] = value
    return found


@EVERY
def test_a_layer_learns_and_nothing_below_it_moves_by_a_bit(name, runs):
    for count in (2, 3):
        before, after = (layers(runs / name / str(each)) for each in (count - 1, count))
        for place in range(count - 1):
            for kind in ("layers", "decoders"):
                key = f"{kind}.{place}"
                assert_equal(after[key], before[key])
                module = content(runs / name / str(count))["module"]
                assert_equal({each: module[each] for each in before[key]}, before[key])
    method, changes = learner(name)
    chosen = config(method=method, **SMALL | changes | {"model__widths": list(WIDTHS)})
    start = backbone_of(chosen.model, chosen.seed).trunk
    last = layers(runs / name / "3")["layers.2"]
    assert not torch.equal(last["embedder.trunk.layers.2.affine.weight"], start.top.affine.weight)


@EVERY
def test_what_a_layer_is_given_has_no_gradient(name, runs):
    method, changes = learner(name)
    chosen = config(
        method=method,
        **SMALL | changes | {"model__widths": list(WIDTHS), "model__init": str(runs / name / "2")},
    )
    backbone = backbone_of(chosen.model, chosen.seed)
    decoders = decoders_of(chosen, backbone, is_started=False)
    batches = RunImages(IMAGES, None).batches(chosen, backbone.spec.input_size, Shard())
    made = method_of(chosen, backbone, decoders, batches)
    made.train()
    made.loss(batches.at(0))[0].backward()
    moving = {id(each) for group in made.groups() for each in group.parameters}
    for key, parameter in made.module.named_parameters():
        is_top = key.startswith(("embedder.trunk.layers.2.", "decoders.2."))
        is_tied = name == "rbm" and key == "decoders.2.weight"
        assert (parameter.grad is not None) == (is_top and not is_tied), key
        assert (id(parameter) in moving) == parameter.requires_grad == (parameter.grad is not None)


@EVERY
def test_the_error_of_reconstruction_falls(name, runs):
    for folder in ("1", "2", "3", "unrolled"):
        errors = [line["reconstruction_error"] for line in told(runs / name / folder)]
        assert errors[-1] < errors[0], folder
    _, before = reconstruction_errors(runs / name / "3", IMAGES)
    _, after = reconstruction_errors(runs / name / "unrolled", IMAGES)
    assert after < before


@EVERY
def test_a_stopped_run_goes_on_to_the_same_bits(name, runs, tmp_path):
    """The second layer, then all unrolled; random masks and states are those of the step."""
    method, changes = learner(name)
    second = {"model__widths": [12, 8], "model__init": str(runs / name / "1")}
    whole = {
        "2": config(method=method, **SMALL | changes | second),
        "unrolled": config(method="unrolled", **tuning(name, runs / name / "3")),
    }
    for folder, chosen in whole.items():

        def stop(_):
            signal.raise_signal(signal.SIGTERM)

        assert run(RunRequest(chosen, tmp_path / folder), IMAGES, stop).step == 1
        run(RunRequest(chosen, tmp_path / folder, is_resumed=True), IMAGES, lambda _: None)
        assert_equal(content(tmp_path / folder), content(runs / name / folder))
        assert told(tmp_path / folder) == told(runs / name / folder)


def test_no_label_is_looked_at_and_equal_runs_are_equal(runs, tmp_path):
    others = squares(20)
    others.class_ids_N[:] = others.class_ids_N[::-1].copy()
    stage(tmp_path, "rbm", [12, 8], runs / "rbm" / "1", images=others)
    assert_equal(content(tmp_path)["module"], content(runs / "rbm" / "2")["module"])


def test_what_does_not_fit_into_memory_is_computed_at_each_step(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(given, "_KEPT_BYTES", 0)
    stage(tmp_path, "denoising", [12, 8], runs / "denoising" / "1")
    kept, computed = (told(each)[-1] for each in (runs / "denoising" / "2", tmp_path))
    assert computed["loss"] == pytest.approx(kept["loss"], abs=1e-6)


def test_an_unrolled_machine_begins_with_its_layers_transposed(runs):
    top = runs / "rbm" / "3"
    chosen = config(method="unrolled", **tuning("rbm", top))
    decoders = decoders_of(chosen, trained_backbone(top), is_started=False)
    learned = trained_backbone(top).trunk.layers
    for layer, decoder in zip(learned, decoders, strict=True):
        assert torch.equal(decoder.weight, layer.affine.weight.T)
        assert decoder.bias.abs().sum() > 0


def test_a_linear_code_is_the_last_layers_alone(runs, tmp_path):
    top = grown(tmp_path, "rbm", model__has_linear_code=True)
    linear = [layer.is_linear for layer in trained_backbone(top).trunk.layers]
    assert linear == [False, False, True]
    with pytest.raises(ConfigError, match=r"model\.init: .* got one of 81 - 12 - 8 - 6, the last"):
        stage(tmp_path / "4", "rbm", [*WIDTHS, 4], top)


@pytest.mark.parametrize("name", ["rbm", "conv"])
def test_the_stages_composed_are_what_is_exported(name, runs, tmp_path):
    """Each layer as its own run has left it, one on the other, against the model file."""
    command = ["export", "--checkpoint", str(runs / name / "3"), "--out", str(tmp_path)]
    assert cli.main(command) == 0
    artifact = load_artifact(tmp_path / "3" / "1")
    embedders = [Embedder(trained_backbone(runs / name / str(each))) for each in (1, 2, 3)]
    images = golden_images(9)
    stack = embedders[0].trunk
    with torch.no_grad():
        values = stack.pixels(embedders[0].normalize(torch.from_numpy(images)))
        for embedder in embedders:
            values = embedder.trunk.top(values)
        expected = unit(values if stack.is_flat else values.mean([2, 3])).numpy()
    session = onnxruntime.InferenceSession(artifact.model_path)
    (served,) = session.run(["embedding"], {"image": images})
    assert np.abs(served - expected).max() < 1e-5
    assert artifact.manifest.dim == WIDTHS[-1]
    floor = untrained(artifact.manifest, seed=1)
    assert floor.trunk.shapes() == stack.shapes() + embedders[2].trunk.shapes()[2:]


def test_labels_finish_what_layers_began(runs, tmp_path):
    settings = tuning("denoising", runs / "denoising" / "3")
    fit(tmp_path, method="supervised", data__n_shot=2, **settings)
    state = content(tmp_path)["module"]
    assert state["head.weight_KD"].shape == (6, WIDTHS[-1])
    assert "before: denoising, 7 steps" in trained_backbone(tmp_path).spec.origin


REFUSED = {
    "no start": (
        {},
        ConfigError,
        r"model\.init: expected a run that has learned 1 layers one by one, got none",
    ),
    "all learns": (
        {"model__init": "1", "model__trained": "all"},
        ConfigError,
        r"model\.trained: expected last_block with rbm, got all",
    ),
    "other widths below": (
        {"model__init": "1", "model__widths": [13, 8]},
        ConfigError,
        r"model\.init: expected a run of the first layers of 81 - 13 - 8, got one of 81 - 12",
    ),
    "the same layers": (
        {"model__init": "2"},
        ConfigError,
        r"model\.init: expected a run that has learned 1 layers one by one, got 2",
    ),
    "a start below the first layer": (
        {"model__init": "1", "model__widths": [12]},
        ConfigError,
        r"model\.init: expected none, got 1",
    ),
    "another kind of stack": (
        {"model__init": "../conv/1"},
        ConfigError,
        r"model\.init: expected .* 81 - 12 - 8, got one of 3 x 9 x 9 - 12 x 5 x 5",
    ),
    "an adapter": (
        {"model__init": "1", "model__adapter": 4},
        ConfigError,
        r"model\.pooled, model\.adapter: expected none with rbm, .* got some",
    ),
    "no run": ({"model__init": "7"}, CheckpointError, "checkpoint: expected a readable file"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_stage_cannot_start_from_is_refused_by_name(what, runs, tmp_path):
    changes, error, message = REFUSED[what]
    changes = {"model__widths": [12, 8]} | changes
    if "model__init" in changes:
        changes["model__init"] = str(runs / "rbm" / changes["model__init"])
    with pytest.raises(error, match=message):
        fit(tmp_path, method="rbm", **SMALL | changes)
    assert not (tmp_path / checkpoint.FILE).exists()


def test_only_what_has_learned_layer_by_layer_is_unrolled(runs, tmp_path):
    settings = tuning("rbm", runs / "rbm" / "3")
    fit(tmp_path / "labels", method="supervised", **settings)
    from_labels = settings | {"model__init": str(tmp_path / "labels")}
    message = r"model\.init: expected a run that has learned 3 layers one by one, got none"
    with pytest.raises(ConfigError, match=message):
        fit(tmp_path / "unrolled", method="unrolled", **from_labels)
    with pytest.raises(ConfigError, match=r"model\.trained: expected all with unrolled, got head"):
        fit(tmp_path / "head", method="unrolled", **settings | {"model__trained": "head"})
    fit(tmp_path / "random", method="unrolled", **settings | {"model__init": ""})
    assert told(tmp_path / "random")[0]["loss"] != told(runs / "rbm" / "unrolled")[0]["loss"]
