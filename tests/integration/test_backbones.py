"""Backbones: built by name, from weights that are safe to load and fit."""

import io
from pathlib import Path

import pytest
import torch

from exemplar_server.core.artifact import golden_images
from exemplar_training import backbones
from exemplar_training.embedder import Embedder
from exemplar_training.errors import UnknownBackboneError, WeightsError
from exemplar_training.onnx_file import write_onnx
from exemplar_training.parity import answers, reference
from exemplar_training.photos import check_photos, decode_all, labelled_photos
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


def test_an_unknown_backbone_is_told_what_there_is():
    with pytest.raises(
        UnknownBackboneError, match=r"lite0, mnv2, resnet18_cifar or any .* got nope"
    ):
        backbones.build("nope")


@pytest.mark.parametrize("content", [b"", b"junk", b"\x80\x02}q\x00.", b"PK\x03\x04"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path, content):
    (tmp_path / "junk.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=r"expected a state dictionary of .*, got junk\.pth"):
        backbones.build(TINY, tmp_path / "junk.pth")


def test_weights_that_run_code_are_refused(tmp_path):
    buffer = io.BytesIO()
    torch.save({"x": _Evil(tmp_path / "ran")}, buffer)
    (tmp_path / "evil.pth").write_bytes(buffer.getvalue())
    with pytest.raises(WeightsError):
        backbones.build(TINY, tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


class _Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_weights_of_another_network_are_refused(tiny_weights):
    with pytest.raises(WeightsError, match="expected a state dictionary of resnet18"):
        backbones.build("resnet18", tiny_weights)


def test_a_download_that_fails_points_to_the_weights_option(monkeypatch, tmp_path):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # the discard port: refused at once
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"resnet18: cannot download .* --weights FILE"):
        backbones.build("resnet18")


def test_the_embedding_is_what_the_last_layer_was_given(tiny_weights):
    backbone = backbones.build(TINY, tiny_weights)
    with torch.inference_mode():
        assert backbone.trunk(torch.zeros(1, 3, 224, 224)).shape == (1, 512)
        assert backbone.classifier(torch.zeros(1, 3, 224, 224)).shape == (1, 1000)


def test_mnv2_classifies_the_labelled_photos():
    backbone = backbones.build("mnv2")
    photos = labelled_photos()
    embedder = Embedder(backbone).eval()
    check = check_photos(backbone, embedder, decode_all(photos, 224), photos)
    assert (check.top_1, check.top_5) == (18, 20)


def test_a_residual_network_for_small_images_keeps_their_resolution_at_first():
    """As many numbers as ResNet-18 less those of its stem and last layer; 4 x 4 at the end."""
    backbone = backbones.untrained("resnet18_cifar", seed=0)
    seen = []
    backbone.trunk.layer1.register_forward_hook(lambda *given: seen.append(given[2].shape[2:]))
    backbone.trunk.layer4.register_forward_hook(lambda *given: seen.append(given[2].shape[2:]))
    embedding = Embedder(backbone)(torch.zeros(2, 32, 32, 3, dtype=torch.uint8))
    assert seen == [(32, 32), (4, 4)]
    assert embedding.shape == (2, 512)
    assert sum(each.numel() for each in backbone.trunk.parameters()) == 11_168_832


def test_it_is_exported_to_what_it_was(tmp_path):
    embedder = Embedder(backbones.untrained("resnet18_cifar", seed=0)).eval()
    write_onnx(embedder, 32, {}, tmp_path / "model.onnx")
    images = golden_images(32)
    cosines = (answers(tmp_path / "model.onnx", images) * reference(embedder, images)).sum(1)
    assert cosines.min() > 0.9999


def test_nobody_has_weights_of_it():
    with pytest.raises(WeightsError, match=r'expected "none", as nobody .* resnet18_cifar'):
        backbones.build("resnet18_cifar")
