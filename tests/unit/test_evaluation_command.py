"""The verb evaluate: images to embeddings, the floors, the table, the JSON and the refusals."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from PIL import Image

import tiny_backbone
from exemplar_server.backends.images import ImageLimits, decode
from exemplar_server.core.artifact import load_artifact
from exemplar_training.cli import main
from exemplar_training.data.image_set import ImageSet
from exemplar_training.data.layout import DESCRIPTION_FILE, Description
from exemplar_training.embedder import Embedder
from exemplar_training.errors import EvaluationError
from exemplar_training.evaluation import embeddings
from exemplar_training.evaluation.untrained import untrained
from pictures import encoded

LIMITS = ImageLimits(image_bytes=10**6, image_pixels=10**6)


def decoded(file):
    return decode(file, tiny_backbone.INPUT_SIZE, LIMITS)


def pictures(count=12, side=40):
    """Images of two classes, dark and light, as PNG files."""
    rng = np.random.default_rng(0)
    files = []
    for number in range(count):
        low = 0 if number % 2 else 150
        pixels_HWC = rng.integers(low, low + 100, (side, side, 3), np.uint8)
        files.append(encoded(Image.fromarray(pixels_HWC), "PNG"))
    return ImageSet("pictures", files, np.arange(count) % 2, ("light", "dark"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_backbone.write(tmp_path_factory.mktemp("backbones"))


def test_an_artifacts_embeddings_are_those_of_the_decoded_images_in_order(tiny):
    images = pictures()
    found_ND = embeddings.by_artifact(load_artifact(tiny), images, "tiny")
    expected_ND = tiny_backbone.reference(np.stack([decoded(file) for file in images.files]))
    np.testing.assert_allclose(found_ND, expected_ND, atol=1e-5)


def test_raw_pixels_are_unit_vectors_of_32_x_32_x_3():
    found_ND = embeddings.raw_pixels(pictures())
    assert found_ND.shape == (12, 32 * 32 * 3)
    np.testing.assert_allclose(np.linalg.norm(found_ND, axis=1), 1, atol=1e-5)


def test_an_image_that_cannot_be_decoded_is_named():
    images = ImageSet("pictures", [b"no image"], np.zeros(1, np.int64), ("cat",))
    with pytest.raises(EvaluationError, match=r"pictures\[0\]: expected a JPEG"):
        embeddings.raw_pixels(images)


def test_an_untrained_network_is_the_artifacts_architecture_and_equal_for_equal_seeds(tiny):
    made = {"provenance": {"backbone": "small_cnn"}, "input_size": 32, "dim": 64}
    manifest = replace(load_artifact(tiny).manifest, **made)
    pixels_BHWC = torch.from_numpy(np.stack([decoded(file) for file in pictures().files]))
    with torch.inference_mode():
        first, again, other = (
            Embedder(untrained(manifest, seed)).eval()(pixels_BHWC).numpy() for seed in (0, 0, 1)
        )
    assert first.shape == (12, 64)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


@pytest.fixture
def folder(tmp_path):
    images = pictures()
    for number, file in enumerate(images.files):
        path = (
            tmp_path / "photos" / images.class_names[images.class_ids_N[number]] / f"{number}.png"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file)
    return tmp_path / "photos"


def command(tiny, folder, *more):
    asked = ["--n-way", "2", "--n-query", "2", "--n-shot", "1", "3", "--episodes", "10"]
    return main(["evaluate", "--artifact", str(tiny), "--data", str(folder), *asked, *more])


def test_the_verb_prints_a_row_for_each_embedding_and_head(tiny, folder, capsys):
    assert command(tiny, folder) == 0
    out, error = capsys.readouterr()
    assert "photos: 12 images of 2 classes, each its own source; left out as copies: 0" in out
    rows = [line.split("  ")[0] for line in out.splitlines() if " +- " in line]
    names = [f"{e}, {h}" for e in ("tiny/1", "raw pixels") for h in ("prototype", "1-NN", "5-NN")]
    assert rows == [*names, *names[1:]]  # the second table has the differences to the first row
    assert "100.0 +- 0.0" in out
    assert error == ""  # progress is for terminals


def test_the_verb_writes_all_it_measured_and_no_path(tiny, folder, tmp_path):
    file = tmp_path / "result.json"
    assert command(tiny, folder, "--json", str(file), "--no-floors") == 0
    document = json.loads(file.read_text())
    assert str(tmp_path) not in file.read_text()
    assert [spec["n_shot"] for spec in document["episodes"]] == [1, 3]
    assert document["artifacts"][0]["fingerprint"] == load_artifact(tiny).manifest.fingerprint
    assert len(document["results"]) == 6
    first = document["results"][0]
    assert (first["embedding"], first["head"], first["n_shot"]) == ("tiny/1", "prototype", 1)
    assert first["accuracy"] == {"mean": 1.0, "half": 0.0}
    assert first["recalls"] == {"dark": 1.0, "light": 1.0}
    assert first["auroc"] is None  # two classes leave none unknown


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--n-way", "3"], "photos: expected at least 3 classes (n_way), got 2"),
        (["--n-query", "6"], "class 'dark': expected at least 7 images"),
        (["--data", "nowhere"], "set nowhere: expected it in"),
        (["--part", "test"], "--part: expected none with a folder"),
        (["--json", "nowhere/result.json"], "--json: expected a file in a folder that exists"),
    ],
)
def test_what_cannot_be_evaluated_is_said_in_one_line(tiny, folder, capsys, more, message):
    assert command(tiny, folder, "--root", str(folder), *more) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_two_artifacts_of_one_name_are_refused(tiny, folder, capsys):
    assert command(tiny, folder, "--artifact", str(tiny), str(tiny)) == 1
    assert "expected different NAME/VERSION, got two tiny/1" in capsys.readouterr().err


def fetched(root, name, kind, parts):
    """A set on disk with six of the pictures in each of two parts."""
    images = pictures()
    for number, file in enumerate(images.files):
        path = root / name / parts[number // 6] / images.class_names[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file)
    counts = {part: {"dark": 3, "light": 3} for part in parts}
    description = Description(name, kind, [], "", counts, "")
    (root / name / DESCRIPTION_FILE).write_text(json.dumps(asdict(description)))


def test_the_verb_takes_the_test_part_where_there_is_one(tiny, tmp_path, capsys):
    fetched(tmp_path, "split", "splits", ["test", "train"])
    assert command(tiny, "split", "--root", str(tmp_path), "--n-shot", "1", "--no-floors") == 0
    assert "split: 6 images of 2 classes, each its own source" in capsys.readouterr().out


def test_the_verb_takes_all_parts_where_they_are_sources(tiny, tmp_path, capsys):
    fetched(tmp_path, "drawn", "sources", ["one", "other"])
    assert command(tiny, "drawn", "--root", str(tmp_path), "--no-floors") == 0
    assert "drawn: 12 images of 2 classes, 2 sources" in capsys.readouterr().out
