"""A study of layer-wise pretraining from end to end, on squares."""

import json
from pathlib import Path

import pytest

from exemplar_training import cli, config_file
from exemplar_training.data.layout import Facts, SetImage, write_set
from exemplar_training.layerwise.study import Study
from fit_runs import assert_equal, content
from training_images import squares

pytestmark = pytest.mark.usefixtures("one_thread")
STUDY = """
fine_tuning = "supervised"
[pretraining]
method = "denoising"
[pretraining.data]
name = "squares"
parts = ["train"]
batch = 8
[pretraining.model]
backbone = "mlp"
widths = [12, 8]
input_size = 9
[pretraining.schedule]
steps = 3
[tuning.data]
name = "squares"
parts = ["train"]
n_shot = 2
batch = 8
[tuning.schedule]
steps = 2
[test]
name = "squares"
parts = ["test"]
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A fetched set of two parts, and beside it a folder of images without classes."""
    folder = tmp_path_factory.mktemp("data")
    images = squares(24)
    drawn = [
        SetImage("test" if row % 3 == 0 else "train", images.class_names[c], f"{row}.png", file)
        for row, (c, file) in enumerate(zip(images.class_ids_N, images.files, strict=True))
    ]
    write_set(folder, Facts("squares", "splits", ["a test"], "Apache-2.0"), drawn)
    (folder / "plain").mkdir()
    for row in range(8):
        (folder / "plain" / f"{row}.png").write_bytes(images.files[row])
    return folder


def layerwise(root, out, *overrides):
    (root / "study.toml").write_text(STUDY)
    roots = [f"{table}.data.root={root}" for table in ("pretraining", "tuning")]
    asked = [w for each in (*roots, f"test.root={root}", *overrides) for w in ("--set", each)]
    return cli.main(["layerwise", str(root / "study.toml"), "--out", str(out), *asked])


def test_a_study_trains_the_layers_then_all_and_is_not_trained_again(root, tmp_path, capsys):
    assert layerwise(root, tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = "run layers error of given error of pixels percent wrong"
    assert lines[-6].split() == heads.split()
    assert (
        lines[-1]
        == f"next: exemplar-train export --checkpoint {tmp_path}/supervised --out backbones"
    )
    assert [line.split()[0] for line in lines[-5:-2]] == ["1", "2", "supervised"]
    result = json.loads((tmp_path / "result.json").read_text())
    first, second, labels = result["runs"]
    assert first["error_of_given"] == first["error_of_pixels"]
    assert second["error_of_given"] < second["error_of_pixels"]
    assert 0 <= labels["share_wrong"] <= 1
    before = {each: content(tmp_path / each) for each in ("1", "2", "supervised")}
    assert layerwise(root, tmp_path) == 0
    assert capsys.readouterr().out.splitlines()[-7:] == lines[-7:]
    for each, one in before.items():
        assert_equal(content(tmp_path / each), one)
    assert layerwise(root, tmp_path, "pretraining.seed=1") == 1
    assert "--resume: seed: expected 0" in capsys.readouterr().err


def test_a_study_needs_no_classes_where_none_are_told_apart(root, tmp_path, capsys):
    plain = str(root / "plain")
    tables = ("pretraining.data", "tuning.data", "test")
    overrides = [
        f"{table}.{each}" for table in tables for each in (f"root={plain}", 'name=""', "parts=[]")
    ]
    assert layerwise(root, tmp_path, *overrides, 'fine_tuning="unrolled"') == 0
    assert capsys.readouterr().out.splitlines()[-3].split()[:3] == ["unrolled", "all", "-"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("pretraining.method=supervised", "pretraining.method: expected rbm, autoencoder or den"),
        ("pretraining.model.init=1", "pretraining.model.init: expected none, as the study"),
        ("pretraining.model.widths=[]", "model.widths: expected one and more of at least 1"),
        ("fine_tuning=both", "fine_tuning: expected one of none, supervised, unrolled, got 'both'"),
    ],
)
def test_a_study_refuses_by_name_before_anything_is_trained(
    override, message, root, tmp_path, capsys
):
    assert layerwise(root, tmp_path, override) == 1
    assert message in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("file", ["fashion_layerwise.toml", "fashion_deep_autoencoder.toml"])
def test_the_configurations_are_studies(file):
    study = config_file.read_as(Study, Path(config_file.__file__).parent / "configs" / file)
    assert study.pretraining.is_stage
