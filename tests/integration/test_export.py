"""Export: an artifact says what the network says, byte for byte the same, or is not written."""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from exemplar_server.core.artifact import (
    MODEL_FILE,
    golden_images,
    load_artifact,
)
from exemplar_training import backbones, cli, onnx_file, parity
from exemplar_training.embedder import Embedder
from exemplar_training.errors import ExportError, TrainingError
from exemplar_training.export import ExportRequest, export
from exemplar_training.torchvision_cure import torchvision_module

TINY = "squeezenet1_1"


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory):
    """Weights of an untrained network, so that nothing is downloaded."""
    torch.manual_seed(0)
    network = torchvision_module("torchvision.models").get_model(TINY, weights=None)
    path = tmp_path_factory.mktemp("weights") / "tiny.pth"
    torch.save(network.state_dict(), path)
    return path


def run_cli(folder, *arguments, hash_seed, checkout=""):
    """Exports in a process of its own, with `folder` as working directory."""
    folder.mkdir(parents=True)
    return subprocess.run(
        [sys.executable, "-m", "exemplar_training.cli", "export", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, tiny_weights):
    """The command line's output and the artifact that it wrote."""
    folder = tmp_path_factory.mktemp("one") / "here"
    arguments = ("--backbone", TINY, "--weights", str(tiny_weights), "--out", "out")
    done = run_cli(folder, *arguments, hash_seed="1")
    return done, load_artifact(folder / "out" / TINY / "1")


def embed(artifact, images_NHWC):
    session = onnxruntime.InferenceSession(
        str(artifact.model_path), providers=["CPUExecutionProvider"]
    )
    return session.run(["embedding"], {"image": images_NHWC})[0]


def test_the_same_export_from_another_folder_and_process_is_equal_byte_for_byte(
    tiny, tiny_weights, tmp_path
):
    _, first = tiny
    folder = tmp_path / "a" / "much" / "deeper" / "place"
    arguments = ("--backbone", TINY, "--weights", str(tiny_weights), "--out", str(tmp_path / "out"))
    # Another checkout too: the exporter writes the paths of the source files into the nodes.
    checkout = tmp_path / "checkout"
    shutil.copytree(Path(cli.__file__).parent, checkout / "exemplar_training")
    run_cli(folder, *arguments, hash_seed="2", checkout=checkout)
    for name in ("model.onnx", "manifest.json"):
        second = tmp_path / "out" / TINY / "1" / name
        assert second.read_bytes() == (first.directory / name).read_bytes()


def test_the_command_line_says_what_it_made_and_what_comes_next(tiny):
    done, artifact = tiny
    assert artifact.manifest.fingerprint in done.stdout
    assert "next: EXEMPLAR_BACKBONE_DIR=" in done.stdout
    assert "Warning" not in done.stderr


@pytest.mark.parametrize("batch", [1, 2, 5, 64])
def test_the_file_takes_uint8_images_of_any_batch_and_gives_what_pytorch_gives(
    tiny, tiny_weights, batch
):
    _, artifact = tiny
    embedder = Embedder(backbones.build(TINY, tiny_weights)).eval()
    size = artifact.manifest.input_size
    images = np.random.default_rng(batch).integers(0, 256, (batch, size, size, 3), np.uint8)
    actual_BD = embed(artifact, images)
    with torch.inference_mode():
        expected_BD = embedder(torch.from_numpy(images)).numpy()
    assert actual_BD.dtype == np.float32
    np.testing.assert_allclose(actual_BD, expected_BD, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(actual_BD, axis=1), 1, atol=1e-5)


def test_the_golden_embeddings_are_those_of_the_golden_images(tiny):
    _, artifact = tiny
    actual_ND = embed(artifact, golden_images(artifact.manifest.input_size))
    np.testing.assert_allclose(actual_ND, artifact.manifest.golden(), atol=1e-4)


def test_the_file_is_one_and_names_no_place(tiny):
    _, artifact = tiny
    names = sorted(path.name for path in artifact.directory.iterdir())
    assert names == ["manifest.json", "model.onnx"]
    model = onnx.load(artifact.model_path)
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", artifact.manifest.opset)]
    assert str(Path.cwd()).encode() not in artifact.model_path.read_bytes()


# Gates


class _Constant(torch.nn.Module):
    """An embedder's double: always the same value, of any length."""

    def __init__(self, *row):
        super().__init__()
        self.register_buffer("row", torch.tensor([row], dtype=torch.float32))

    def forward(self, image):
        return self.row + 0 * image.to(torch.float32).mean(dim=(1, 2, 3))[:, None]


@pytest.fixture(scope="session")
def constant_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("constant") / MODEL_FILE
    onnx_file.write_onnx(_Constant(0.0, 1.0).eval(), 8, {}, path)
    return path


def test_parity_passes_where_both_say_the_same(constant_file):
    images = golden_images(8)
    expected_ND = parity.reference(_Constant(0.0, 1.0).eval(), images)
    assert parity.check_parity(constant_file, images, expected_ND) == {1: 1.0, 5: 1.0, 64: 1.0}


def test_parity_refuses_a_file_that_says_something_else(constant_file):
    images = golden_images(8)
    expected_ND = parity.reference(_Constant(0.02, 0.9998).eval(), images)
    with pytest.raises(ExportError, match=r"batch 1: expected cosine >= 0.9999 .* got 0.9998"):
        parity.check_parity(constant_file, images, expected_ND)


def test_parity_refuses_another_dim(constant_file):
    images = golden_images(8)
    expected_ND = parity.reference(_Constant(0.0, 0.0, 1.0).eval(), images)
    with pytest.raises(ExportError, match="embedding: expected float32"):
        parity.check_parity(constant_file, images, expected_ND)


def test_training_mode_is_refused():
    with pytest.raises(ExportError, match="expected evaluation mode"):
        parity.reference(_Constant(0.0, 1.0), golden_images(8))


@pytest.mark.parametrize("row", [(0.0, 0.0), (0.0, 2.0), (0.0, float("nan"))])
def test_embeddings_that_are_not_of_unit_length_are_refused(row):
    with pytest.raises(ExportError, match="expected unit length"):
        parity.reference(_Constant(*row).eval(), golden_images(8))


def test_tiny_embeddings_still_get_unit_length():
    spec = dataclasses.replace(backbones.build("lite0").spec, power=1.0)
    small = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    scaled = torch.nn.Sequential(small, _Scaled(1e-14))
    embedder = Embedder(backbones.Backbone(spec, scaled, small)).eval()
    with torch.inference_mode():
        norms_B = embedder(torch.from_numpy(golden_images(8))).norm(dim=1)
    torch.testing.assert_close(norms_B, torch.ones(3))


class _Scaled(torch.nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, values):
        return values * self.factor


def test_wrong_weights_are_refused_by_the_photos_and_nothing_is_written(tmp_path):
    torch.manual_seed(0)
    network = torchvision_module("torchvision.models").get_model("mobilenet_v2", weights=None)
    torch.save(network.state_dict(), tmp_path / "untrained.pth")
    request = ExportRequest("mnv2", tmp_path / "out", tmp_path / "untrained.pth")
    with pytest.raises(ExportError, match=r"photos: expected at least 15 of 20 .* got 0"):
        export(request, lambda _: None)
    assert not (tmp_path / "out").exists()


def test_a_failed_gate_leaves_the_artifact_that_was_there(
    tiny, tiny_weights, tmp_path, monkeypatch
):
    target = tmp_path / TINY / "1"
    target.mkdir(parents=True)
    (target / "kept").write_text("as it was")

    def refuse(*_):
        raise ExportError("parity at batch 5: no")

    monkeypatch.setattr(parity, "check_parity", refuse)
    with pytest.raises(ExportError, match="batch 5"):
        export(ExportRequest(TINY, tmp_path, tiny_weights), lambda _: None)
    assert [path.name for path in (tmp_path / TINY).rglob("*")] == ["1", "kept"]


def test_without_foolbox_the_photo_check_is_skipped_aloud(tiny_weights, tmp_path, monkeypatch):
    monkeypatch.setattr("exemplar_training.probes.labelled_photos", list)
    lines = []
    artifact = export(ExportRequest(TINY, tmp_path, tiny_weights), lines.append)
    assert artifact.manifest.provenance["labelled_photos"].startswith("skipped")
    assert "WARNING" in lines[1]


def test_exporting_again_replaces_what_differs_and_keeps_what_is_equal(tiny_weights, tmp_path):
    request = ExportRequest(TINY, tmp_path, tiny_weights, name="mine", version="2")
    model = export(request, lambda _: None).model_path
    before = model.stat().st_ino
    assert export(request, lambda _: None).model_path.stat().st_ino == before
    model.write_bytes(b"corrupt")
    assert load_artifact(export(request, lambda _: None).directory).manifest.name == "mine"
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["2"]


# Requests


@pytest.mark.parametrize("name", ["../up", "", "a/b", ".hidden", "x" * 65])
def test_a_name_that_leaves_the_folder_is_refused(name, tmp_path):
    with pytest.raises(ExportError, match=r"version: expected 1\.\.64 characters"):
        ExportRequest("lite0", tmp_path, version=name)


def test_a_failure_is_a_message_and_exit_code_1(tmp_path, capsys):
    assert cli.main(["export", "--backbone", "nope", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("exemplar-train: backbone: expected lite0")


def test_an_unwritable_folder_is_a_training_error(tiny_weights, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TrainingError, match="out: expected a writable directory"):
        export(ExportRequest(TINY, tmp_path / "file", tiny_weights), lambda _: None)
