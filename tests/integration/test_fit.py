"""Training: frozen means frozen, failures say what to do, and what a run made is served."""

import json

import numpy as np
import onnxruntime
import pytest
import torch

from exemplar_server.core.artifact import golden_images, load_artifact
from exemplar_training import cli
from exemplar_training.embedder import Embedder
from exemplar_training.errors import CheckpointError, ConfigError, ExportError, FitError
from exemplar_training.export import ExportRequest
from exemplar_training.fit import checkpoint
from exemplar_training.fit.supervised import Supervised
from exemplar_training.fit.trained import trained_backbone
from exemplar_training.small_cnn import small_cnn
from fit_runs import content, fit, told
from training_images import squares

pytestmark = pytest.mark.usefixtures("one_thread")


# What learns


@pytest.mark.parametrize(
    ("trained", "learning"),
    [("head", ("head.",)), ("last_block", ("head.", "embedder.trunk.blocks.3."))],
)
def test_frozen_means_parameters_and_statistics_to_the_last_bit(tmp_path, whole, trained, learning):
    changes = {"model__init": str(whole), "optimizer__weight_decay": 0.1}
    fit(tmp_path, **changes, model__trained=trained)
    before = Embedder(trained_backbone(whole)).state_dict()
    for state in ("module", "ema"):
        after = content(tmp_path)[state]
        changed = {
            name
            for name, value in after.items()
            if name.startswith("head.")
            or not torch.equal(value, before[name.removeprefix("embedder.")])
        }
        assert changed == {name for name in after if name.startswith(learning)}


def test_the_loss_falls_and_the_squares_are_told_apart(tmp_path):
    table = {"data__batch": 16, "schedule__steps": 40, "augment__flip": False}
    fit(tmp_path, squares(120), **table, augment__crop=1.0, augment__color=0.0)
    lines = told(tmp_path)
    first, last = lines[:5], lines[-5:]
    assert sum(line["loss"] for line in last) < 0.6 * sum(line["loss"] for line in first)
    assert np.mean([line["accuracy"] for line in last]) > 0.9


def test_the_rates_of_blocks_are_in_the_optimizer(whole):
    rates = [group["initial_lr"] for group in content(whole)["optimizer"]["param_groups"]]
    # A block's kernels and its vectors, four times; then the head's.
    expected = [0.003 * 0.7**depth for depth in (3, 3, 2, 2, 1, 1, 0, 0, 0, 0)]
    assert rates == pytest.approx(expected)


# What goes wrong


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        MemoryError(),
    ],
)
def test_out_of_memory_names_the_setting_and_the_last_checkpoint_stays(
    tmp_path, monkeypatch, error
):
    real = Supervised.loss

    def loss(self, batch):
        if batch.step == 3:
            raise error
        return real(self, batch)

    monkeypatch.setattr(Supervised, "loss", loss)
    with pytest.raises(FitError, match=r"got 8 images: try --set data\.batch=4"):
        fit(tmp_path)
    assert content(tmp_path)["step"] == 2


def test_a_loss_that_is_not_finite_ends_the_run_before_it_is_saved(tmp_path):
    with pytest.raises(FitError, match=r"got (nan|inf) by step \d: try --set optimizer\.rate="):
        fit(tmp_path, optimizer__name="sgd", optimizer__rate=1e30, optimizer__clip_norm=0.0)
    path = tmp_path / checkpoint.FILE
    state = content(tmp_path)["module"] if path.exists() else {}
    assert all(value.isfinite().all() for value in state.values())


def test_a_gpu_that_is_not_there_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"compute\.device: expected cpu or auto .* got cuda"):
        fit(tmp_path, compute__device="cuda")


def test_an_unwritable_folder_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="--out: expected a writable folder"):
        fit(tmp_path / "file" / "run")


# Export


def test_the_backbone_of_a_run_is_exported_and_says_what_the_run_learned(whole, tmp_path, capsys):
    arguments = ["export", "--checkpoint", str(whole), "--out", str(tmp_path)]
    assert cli.main(arguments) == 0
    assert "next: EXEMPLAR_BACKBONE_DIR=" in capsys.readouterr().out
    artifact = load_artifact(tmp_path / "run" / "1")
    session = onnxruntime.InferenceSession(artifact.model_path)
    images = golden_images(32)
    (served,) = session.run(["embedding"], {"image": images})
    state = content(whole)["ema"]
    embedder = Embedder(small_cnn(dim=64)).eval()
    embedder.load_state_dict(
        {name[9:]: value for name, value in state.items() if name.startswith("embedder.")}
    )
    with torch.inference_mode():
        np.testing.assert_allclose(served, embedder(torch.from_numpy(images)), atol=1e-5)
    assert (artifact.manifest.name, artifact.manifest.dim) == ("run", 64)
    provenance = artifact.manifest.provenance
    assert provenance["method"] == "supervised, 7 steps on a folder of images; before: untrained"
    assert (provenance["run"]["step"], provenance["run"]["optimizer.rate"]) == (7, 0.003)
    assert str(tmp_path.parent) not in json.dumps(provenance)


def test_weights_beside_a_checkpoint_are_refused(whole, tmp_path):
    with pytest.raises(ExportError, match="--weights: expected none with --checkpoint"):
        ExportRequest("run", tmp_path, tmp_path / "weights.pth", run=whole)


def test_a_folder_without_a_run_is_not_exported(tmp_path, capsys):
    arguments = ["export", "--checkpoint", str(tmp_path), "--out", str(tmp_path / "out")]
    assert cli.main(arguments) == 1
    assert "checkpoint: expected a readable file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
