"""Export by measurement: int8 and the transform pass their gates, or nothing is written."""

import pytest
import torch

from exemplar_server.backends.onnx_backbone import load_backbone
from exemplar_server.core.artifact import load_artifact
from exemplar_training import cli
from exemplar_training.embedder import Embedder
from exemplar_training.errors import EvaluationError, ExportError
from exemplar_training.export import ExportRequest, export
from exemplar_training.fit.trained import trained_backbone
from exemplar_training.precision import gates
from exemplar_training.small_cnn import small_cnn
from exemplar_training.transform import choose_transform
from training_images import squares, write_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """1,140 images of six classes: 128 to calibrate on and 1,000 unseen."""
    return write_folder(squares(1140), tmp_path_factory.mktemp("images") / "squares")


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return write_folder(squares(150), tmp_path_factory.mktemp("images") / "few")


@pytest.fixture(scope="module")
def int8(whole, folder, few, tmp_path_factory):
    """An artifact of the tiny run with all that is measured, by the command line."""
    out = tmp_path_factory.mktemp("int8")
    arguments = ["--checkpoint", whole, "--out", out, "--precision", "int8", "--calibrate", folder]
    arguments += ["--transform-on", few, "--measure", few]
    assert cli.main(["export", *map(str, arguments)]) == 0
    return load_artifact(out / "run" / "1")


def request_of(run, out, **changes):
    return ExportRequest("run", out, run=run, **changes)


def test_int8_is_served(int8):
    loaded = load_backbone(int8, "cpu", 1)
    assert int8.manifest.precision == "int8"
    assert loaded.backbone.manifest.dim == 64


def test_int8_says_what_it_was_measured_to_be(int8):
    told = int8.manifest.provenance["int8"]
    assert (told["calibration_images"], told["unseen_images"]) == (128, 1000)
    assert told["cosine_on_unseen"]["percentile_1"] >= gates.LEAST_COSINE
    assert set(told["few_shot_gain"]) == {"prototype", "5-NN"}


def test_the_manifest_has_the_accuracy_of_each_protocol(int8):
    accuracy = int8.manifest.accuracy
    assert "few, 5-way 1-shot, prototype" in accuracy
    assert all(0.2 < share <= 1 for share in accuracy.values())


def test_the_best_transform_on_base_classes_is_in_the_graph(int8):
    told = int8.manifest.provenance["transform"]
    assert len(told["accuracy"]) == 8
    assert told["accuracy"][told["chosen"]] == max(told["accuracy"].values())
    assert f"power {int8.manifest.provenance['power']:g}" in told["chosen"]


def test_fp16_is_half_the_size_and_near_the_network(whole, tmp_path):
    artifact = export(request_of(whole, tmp_path, precision="fp16"), print)
    parameters = sum(it.numel() for it in trained_backbone(whole).trunk.parameters())
    assert artifact.model_path.stat().st_size < 2.5 * parameters  # 4 bytes each in fp32
    assert min(artifact.manifest.provenance["parity_cosine"].values()) >= 0.999
    load_backbone(artifact, "cpu", 1)


@torch.inference_mode()
def test_a_center_is_subtracted_before_the_length_is_1_again(whole):
    backbone, center_D = trained_backbone(whole), torch.linspace(0, 0.2, 64)
    images = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8)
    moved_BD = Embedder(backbone)(images) - center_D
    expected_BD = moved_BD / moved_BD.norm(dim=1, keepdim=True)
    torch.testing.assert_close(Embedder(backbone, center_D)(images), expected_BD)


def test_too_few_images_are_refused_before_the_work(whole, few, tmp_path):
    request = request_of(whole, tmp_path, precision="int8", calibrate=str(few))
    lines = []
    with pytest.raises(ExportError, match="--calibrate: expected at least 1128 images, got 150"):
        export(request, lines.append)
    assert not lines


def test_a_transform_needs_base_classes():
    images = squares(60).of_classes([0, 1, 2])
    with pytest.raises(EvaluationError, match=r"at least 4 base classes .* got 3"):
        choose_transform(small_cnn(dim=64), images)


@pytest.mark.parametrize("options", [{"precision": "int8"}, {"calibrate": "cifar10"}])
def test_calibration_images_belong_to_int8(options, tmp_path):
    with pytest.raises(ExportError, match="--calibrate: expected images exactly with"):
        ExportRequest("lite0", tmp_path, **options)
