"""Backbones: built by name, from weights that are safe to load and fit."""

import io
from pathlib import Path

import pytest
import torch

from exemplar_training import backbones
from exemplar_training.embedder import Embedder
from exemplar_training.errors import UnknownBackboneError, WeightsError
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
    with pytest.raises(UnknownBackboneError, match=r"lite0, mnv2 or any torchvision .* got nope"):
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
