"""The default backbone: what its export proves, says, and tells apart."""

import numpy as np
import onnxruntime
import pytest

from exemplar_training.export import ExportRequest, export
from exemplar_training.photos import decode_all, labelled_photos


@pytest.fixture(scope="session")
def lite0(tmp_path_factory):
    lines = []
    artifact = export(ExportRequest("lite0", tmp_path_factory.mktemp("lite0")), lines.append)
    return artifact, lines


def embed(artifact, images_NHWC):
    session = onnxruntime.InferenceSession(
        str(artifact.model_path), providers=["CPUExecutionProvider"]
    )
    return session.run(["embedding"], {"image": images_NHWC})[0]


def test_lite0_classifies_the_labelled_photos(lite0):
    artifact, lines = lite0
    assert artifact.manifest.provenance["labelled_photos"] == {
        "photos": 20,
        "top_1": 17,
        "top_5": 20,
    }
    assert [line.split()[0] for line in lines] == ["build", "photos", "export", "parity", "write"]


def test_lite0_says_what_the_design_says_of_it(lite0):
    artifact, _ = lite0
    manifest = artifact.manifest
    assert (manifest.name, manifest.version, manifest.dim) == ("lite0", "1", 1280)
    assert (manifest.input_size, manifest.license, manifest.opset) == (224, "Apache-2.0", 20)
    assert min(manifest.provenance["parity_cosine"].values()) >= 0.9999


def test_lite0_knows_its_base_classes_and_the_photos_are_like_theirs(lite0):
    artifact, _ = lite0
    base, photos = artifact.base(), labelled_photos()
    seen_NS = base.seen(embed(artifact, decode_all(photos, 224)))
    assert base.rows_PD.shape == (1000, 1280)
    nearest_N = base.similarities(seen_NS).argmax(axis=1)
    assert sum(nearest_N == [photo.class_id for photo in photos]) >= 15


def test_lite0_embeddings_tell_photos_apart_and_know_a_mirrored_one(lite0):
    artifact, _ = lite0
    photos_NHWC = decode_all(labelled_photos(), 224)
    plain_ND = embed(artifact, photos_NHWC)
    mirrored_ND = embed(artifact, np.ascontiguousarray(photos_NHWC[:, :, ::-1]))
    nearest = (mirrored_ND @ plain_ND.T).argmax(axis=1)
    assert nearest.tolist() == list(range(20))
