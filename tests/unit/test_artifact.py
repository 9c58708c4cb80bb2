"""The artifact: what was written is read back, and whatever does not match is refused."""

import dataclasses
import json

import numpy as np
import pytest

from exemplar_server.core.artifact import (
    BASE_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    Manifest,
    encode_golden,
    fingerprint_of,
    golden_images,
    load_artifact,
    sha256_of,
    write_manifest,
)
from exemplar_server.errors import ArtifactError

DIM = 8
GOLDEN_ND = np.random.default_rng(3).normal(size=(3, DIM)).astype(np.float32)


@pytest.fixture
def directory(tmp_path):
    (tmp_path / MODEL_FILE).write_bytes(b"a model")
    write_manifest(tmp_path, manifest_of(tmp_path))
    return tmp_path


def manifest_of(directory):
    files = {path.name: sha256_of(path) for path in directory.iterdir()}
    files.pop(MANIFEST_FILE, None)
    model_sha256 = files[MODEL_FILE]
    return Manifest(
        name="tiny",
        version="1",
        fingerprint=fingerprint_of(model_sha256, "resize-v1"),
        dim=DIM,
        input_size=32,
        preprocessing_id="resize-v1",
        precision="fp32",
        opset=20,
        license="Apache-2.0",
        provenance={"method": "none"},
        files=files,
        golden_embeddings=encode_golden(GOLDEN_ND),
    )


def change(directory, **values):
    path = directory / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_what_was_written_is_read_back(directory):
    artifact = load_artifact(directory)
    assert artifact.manifest == manifest_of(directory)
    assert artifact.model_path.read_bytes() == b"a model"
    np.testing.assert_array_equal(artifact.manifest.golden(), GOLDEN_ND)


def test_a_corrupt_model_file_is_refused(directory):
    (directory / MODEL_FILE).write_bytes(b"a modem")
    with pytest.raises(ArtifactError, match=r"model\.onnx: sha256: expected .* got .* corrupt"):
        load_artifact(directory)


def test_a_missing_model_file_is_refused(directory):
    (directory / MODEL_FILE).unlink()
    with pytest.raises(ArtifactError, match=r"model\.onnx: expected a plain file, found none"):
        load_artifact(directory)


def test_a_missing_manifest_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"manifest\.json: no such file"):
        load_artifact(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "null", "\x00"])
def test_a_manifest_that_is_no_object_is_refused(directory, text):
    (directory / MANIFEST_FILE).write_text(text)
    with pytest.raises(ArtifactError, match=r"manifest\.json"):
        load_artifact(directory)


@pytest.mark.parametrize("other", [{"preprocessing_id": "resize-v2"}, {"fingerprint": "0" * 64}])
def test_a_fingerprint_that_does_not_name_file_and_preprocessing_is_refused(directory, other):
    change(directory, **other)
    with pytest.raises(ArtifactError, match="fingerprint: expected"):
        load_artifact(directory)


def test_an_unknown_key_is_refused(directory):
    change(directory, dims=8)
    with pytest.raises(ArtifactError, match="unknown or missing keys: dims"):
        load_artifact(directory)


def test_a_missing_key_is_refused(directory):
    path = directory / MANIFEST_FILE
    document = json.loads(path.read_text())
    del document["license"]
    path.write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match="unknown or missing keys: license"):
        load_artifact(directory)


def test_another_format_is_refused(directory):
    change(directory, format=2)
    with pytest.raises(ArtifactError, match="format: expected an object with format 1"):
        load_artifact(directory)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "sub/model.onnx", "..", "."])
def test_files_outside_the_directory_are_refused(directory, name):
    files = manifest_of(directory).files
    change(directory, files=files | {name: "0" * 64})
    with pytest.raises(ArtifactError, match=r"expected (a plain file|plain names)"):
        load_artifact(directory)


def test_a_manifest_without_the_model_file_is_refused(directory):
    change(directory, files={})
    with pytest.raises(ArtifactError, match=r"files: expected plain names, model\.onnx among them"):
        load_artifact(directory)


def test_a_model_file_that_is_a_link_is_refused(directory):
    model = directory / MODEL_FILE
    model.rename(directory / "elsewhere")
    model.symlink_to(directory / "elsewhere")
    with pytest.raises(ArtifactError, match="expected a plain file"):
        load_artifact(directory)


def test_every_value_has_its_type(directory):
    text = (directory / MANIFEST_FILE).read_text()
    for name in {field.name for field in dataclasses.fields(Manifest)} - {"format"}:
        (directory / MANIFEST_FILE).write_text(text)
        change(directory, **{name: None})
        with pytest.raises(ArtifactError, match=f"{name}: expected .*, got NoneType"):
            load_artifact(directory)


@pytest.mark.parametrize(
    "rows",
    [[], encode_golden(GOLDEN_ND[:2]), encode_golden(GOLDEN_ND[:, :4]), ["!"] * 3, [1, 2, 3]],
)
def test_golden_embeddings_that_are_no_three_vectors_are_refused(directory, rows):
    change(directory, golden_embeddings=rows)
    with pytest.raises(ArtifactError, match="golden_embeddings"):
        load_artifact(directory)


def test_golden_images_are_three_different_pictures_and_always_the_same():
    images = golden_images(16)
    assert images.shape == (3, 16, 16, 3)
    assert len({image.tobytes() for image in images}) == 3
    # Row 2, column 3 of the first image's red: 3 * 2 + 5 * 3 + (2 * 3) // 7.
    assert images[0, 2, 3, 0] == 21
    np.testing.assert_array_equal(images, golden_images(16))


def test_an_unknown_precision_is_refused(directory):
    change(directory, precision="bf16")
    with pytest.raises(ArtifactError, match="precision: expected one of fp32, fp16, int8, got 'bf"):
        load_artifact(directory)


def test_a_backbone_without_base_classes_has_none(directory):
    assert len(load_artifact(directory).base().rows_PD) == 0


def test_base_prototypes_are_read_back_and_leave_the_fingerprint(directory):
    before = load_artifact(directory).manifest.fingerprint
    rows_PD = np.random.default_rng(0).normal(size=(20, DIM)).astype(np.float32)
    np.save(directory / BASE_FILE, rows_PD)
    write_manifest(directory, manifest_of(directory))
    artifact = load_artifact(directory)
    np.testing.assert_array_equal(artifact.base().rows_PD, rows_PD)
    assert artifact.manifest.fingerprint == before


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ones((20, DIM + 1), np.float32), "expected finite float32 of shape"),
        (np.ones((3, DIM), np.float32), r"of shape \(6, 8\), got float32 of shape \(3, 8\)"),
        (np.ones((20, DIM)), "got float64"),
        (np.full((20, DIM), np.nan, np.float32), "expected finite"),
        (np.float32(1), "expected finite float32 of shape"),
        (np.array([{}]), "not readable"),
    ],
    ids=["dim", "too few", "float64", "NaN", "no rows", "objects"],
)
def test_other_base_prototypes_are_refused(directory, rows, message):
    np.save(directory / BASE_FILE, rows, allow_pickle=True)
    write_manifest(directory, manifest_of(directory))
    with pytest.raises(ArtifactError, match=message):
        load_artifact(directory).base()
