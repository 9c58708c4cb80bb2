"""Adapters as runs: what is below them stays, labels are not read, and what learned is served."""

import signal
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from exemplar_training.config import RunConfig
from exemplar_training.embedder import Embedder
from exemplar_training.errors import ConfigError, FitError
from exemplar_training.export import ExportRequest, export
from exemplar_training.fit import run as running
from exemplar_training.fit.batches import Batches
from exemplar_training.fit.kept import below_adapter
from exemplar_training.fit.trained import trained_backbone
from fit_runs import IMAGES, Failing, assert_equal, content, fit, told, with_files
from training_images import squares

pytestmark = pytest.mark.usefixtures("one_thread")
AS_THEY_ARE = {"augment__flip": False, "augment__crop": 1.0, "augment__color": 0.0}
ADAPTED = {**AS_THEY_ARE, "model__adapter": 16, "model__trained": "last_block"}
# A hidden layer has BatchNorm, whose statistics are to move in the adapter and nowhere else.
NEIGHBORS = {**ADAPTED, "method": "neighbors", "model__adapter_width": 32, "schedule__steps": 4}
NEIGHBORS |= {"neighbors__count": 5, "neighbors__components": 8}
POOLED = {"model__pooled": ["0:above", "1:average"]}


def kept_by_torch(backbone, images):
    """As `below_adapter`, without the seconds that an export takes."""
    trunk, size = backbone.trunk, backbone.spec.input_size
    spec = replace(backbone.spec, power=trunk.power)
    below = Embedder(replace(backbone, trunk=trunk.trunk, spec=spec)).eval()
    with torch.no_grad():
        return torch.cat([below(part) for part in Batches(images, size, 8, seed=0).in_order()])


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(running, "below_adapter", kept_by_torch)


@pytest.fixture(scope="module")
def learned(whole, tmp_path_factory):
    """An adapter on inner blocks of the run `whole`, taught by neighbors."""
    out = tmp_path_factory.mktemp("learned") / "run"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(running, "below_adapter", kept_by_torch)
        fit(out, model__init=str(whole), **NEIGHBORS, **POOLED)
    return out


def embedder_of(run):
    return Embedder(trained_backbone(run)).state_dict()


# Neighbors


def test_nothing_below_an_adapter_moves_by_a_bit(whole, learned):
    before, after = embedder_of(whole), embedder_of(learned)
    below = {name.replace("trunk.trunk.trunk.", "trunk."): name for name in after}
    assert before.keys() == {name for name in below if "adapter" not in name}
    assert all(torch.equal(after[below[name]], value) for name, value in before.items())
    assert after["trunk.adapter.layers.1.num_batches_tracked"] == 4


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(whole, learned, tmp_path):
    ask = with_files(Failing(IMAGES.files, 3, lambda: signal.raise_signal(signal.SIGTERM)))
    changes = {"model__init": str(whole), **NEIGHBORS, **POOLED}
    assert fit(tmp_path, ask, **changes).step == 1
    fit(tmp_path, is_resumed=True, **changes)
    assert_equal(content(tmp_path), content(learned))
    assert told(tmp_path) == told(learned)


def test_no_label_moves_a_weight(whole, learned, tmp_path):
    shuffled_N = np.random.default_rng(0).permutation(IMAGES.class_ids_N)
    other = replace(IMAGES, class_ids_N=shuffled_N)
    fit(tmp_path, other, model__init=str(whole), **NEIGHBORS, **POOLED)
    assert_equal(content(tmp_path)["module"], content(learned)["module"])


def test_what_learned_is_exported_without_the_blocks_that_nothing_is_pooled_from(learned, tmp_path):
    artifact = export(ExportRequest("run", tmp_path, run=learned), lambda _: None)
    assert artifact.manifest.dim == 16
    assert artifact.manifest.provenance["method"].startswith("neighbors, 4 steps on")
    weights = onnx.load(artifact.model_path).graph.initializer
    kernels = {tuple(each.dims) for each in weights if each.dims[2:] == [3, 3]}
    assert kernels == {(64, 3, 3, 3), (64, 64, 3, 3)}
    assert len([each for each in weights if each.dims[2:] == [3, 3]]) == 2


# What is computed once


def test_what_is_kept_is_what_the_frozen_backbone_says(learned):
    backbone = trained_backbone(learned)
    kept_ND = below_adapter(backbone, IMAGES)
    torch.testing.assert_close(kept_ND, kept_by_torch(backbone, IMAGES), atol=1e-5, rtol=1e-4)


def test_labels_teach_an_adapter_the_same_from_kept_embeddings_as_from_pixels(
    tmp_path, monkeypatch
):
    changes = {**ADAPTED, "optimizer__name": "sgd", "supervised__label_smoothing": 0.0}
    fit(tmp_path / "kept", **changes)
    monkeypatch.setattr(RunConfig, "has_kept", False)
    fit(tmp_path / "pixels", **changes)
    one, other = (content(tmp_path / name)["module"] for name in ("kept", "pixels"))
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], atol=1e-5, rtol=1e-4)


def test_a_finished_run_embeds_nothing_to_see_that_it_is_finished(whole, learned, monkeypatch):
    monkeypatch.setattr(running, "below_adapter", None)
    before = content(learned)
    outcome = fit(learned, is_resumed=True, model__init=str(whole), **NEIGHBORS, **POOLED)
    assert outcome.step == outcome.steps == 4
    assert_equal(content(learned), before)


def test_an_adapter_that_goes_on_keeps_what_it_measured(learned, tmp_path):
    start = {"model__init": str(learned), **NEIGHBORS, **POOLED, "schedule__steps": 1}
    fit(tmp_path, squares(30, seed=9), **start)
    before, after = embedder_of(learned), embedder_of(tmp_path)
    for name in ("mean_D", "scale_D"):
        assert torch.equal(after[f"trunk.adapter.{name}"], before[f"trunk.adapter.{name}"])


# What goes wrong


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"neighbors__count": 20}, ConfigError, r"neighbors\.count: expected fewer than 20"),
        ({"data__batch": 1}, ConfigError, r"data\.batch: expected 2 images or more a process"),
        ({"data__n_shot": 1}, FitError, "expected images that differ, got 1 that embed alike"),
    ],
)
def test_what_an_adapter_cannot_learn_from_is_refused(tmp_path, changes, error, message):
    with pytest.raises(error, match=message):
        fit(tmp_path, **{**NEIGHBORS, **changes})
    assert not list(tmp_path.iterdir())


def test_a_head_on_other_embeddings_is_no_start(whole, tmp_path):
    adapted = {"model__init": str(whole), "model__adapter": 16}
    with pytest.raises(ConfigError, match="takes embeddings of dim 16, got one that takes 64"):
        fit(tmp_path, method="tent", target__batch=8, **adapted)
