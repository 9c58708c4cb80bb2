"""The verb report: from images, two artifacts and a run to one page, or one line that says why."""

from dataclasses import replace

import pytest

import tiny_backbone
from exemplar_server.core.artifact import load_artifact, write_manifest
from exemplar_training import config_file
from exemplar_training.cli import main
from exemplar_training.config import RunConfig
from report_pages import Page
from training_images import squares, write_folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_folder(squares(48), tmp_path_factory.mktemp("data") / "squares")


@pytest.fixture(scope="module")
def backbones(tmp_path_factory):
    """An artifact that says to be trained with seed 0, as the run, and a plain one."""
    root = tmp_path_factory.mktemp("backbones")
    new, old = tiny_backbone.write(root, "new", 0.0), tiny_backbone.write(root, "old")
    made = {"provenance": {"method": "supervised <7 steps>", "run": {"seed": 0}}}
    write_manifest(new, replace(load_artifact(new).manifest, **made))
    return new, old


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What a run leaves beside its checkpoint."""
    folder = tmp_path_factory.mktemp("run") / "run"
    folder.mkdir()
    (folder / "config.toml").write_text(config_file.as_toml(RunConfig(seed=0)))
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0}\n')
    return folder


def command(artifact, images, out, *more):
    asked = ["--n-way", "3", "--n-shot", "1", "2", "--n-query", "3", "--episodes", "10"]
    where = ["--artifact", str(artifact), "--data", str(images), "--out", str(out)]
    return main(["report", *where, *asked, *map(str, more)])


@pytest.fixture
def refusal(images, backbones, tmp_path, capsys):
    """Asks for a report that is refused, and gives what is said; nothing is written."""

    def refused(more):
        assert command(backbones[0], images, tmp_path / "r.html", "--root", tmp_path, *more) == 1
        assert list(tmp_path.iterdir()) == []
        return capsys.readouterr().err

    return refused


def test_the_verb_writes_a_page_of_both_artifacts_and_the_run(
    images, backbones, run, tmp_path, capsys
):
    new, old = backbones
    assert command(new, images, tmp_path / "r.html", "--before", old, "--run", run) == 0
    out, error = capsys.readouterr()
    assert "squares: 48 images of 6 classes" in out
    assert error == ""  # progress is for terminals
    page = Page((tmp_path / "r.html").read_bytes())
    assert "new/1 on squares" in page.words
    assert "supervised <7 steps>" in page.words
    for directory in backbones:
        assert load_artifact(directory).manifest.fingerprint in page.words
    assert [row[0] for row in page.table("1-shot")[1:4]] == [
        f"{name}, prototype" for name in ("new/1", "old/1", "raw pixels")
    ]
    assert "Learning curves of the run run" in page.words
    assert str(tmp_path.parent) not in page.words
    assert list(tmp_path.iterdir()) == [tmp_path / "r.html"]  # nothing half-written


def test_without_another_artifact_it_is_held_against_raw_pixels(images, backbones, tmp_path):
    assert command(backbones[0], images, tmp_path / "r.html") == 0
    page = Page((tmp_path / "r.html").read_bytes())
    assert page.table("new/1 minus raw pixels")
    assert "Learning curves" not in page.words


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--out", "nowhere/r.html"], "--out: expected a file in a folder that exists, got "),
        (["--data", "nowhere"], "set nowhere: expected it in"),
        (["--n-way", "7"], "squares: expected at least 7 classes (n_way), got 6"),
        (["--run", "nowhere"], "--run: expected a folder with metrics.jsonl, got nowhere"),
        (["--before", "nowhere"], "nowhere/manifest.json: no such file"),
    ],
)
def test_what_cannot_be_reported_is_said_in_one_line(refusal, more, message):
    error = refusal(more)
    assert message in error
    assert error.count("\n") == 1


def test_the_curves_of_another_run_are_refused(images, backbones, run, tmp_path, capsys):
    new, _ = backbones
    made = replace(load_artifact(new).manifest, name="other", provenance={"run": {"seed": 7}})
    other = tiny_backbone.write(tmp_path, "other", 0.0)
    write_manifest(other, made)
    assert command(other, images, tmp_path / "r.html", "--run", run) == 1
    message = "--run: expected the run that other was exported from, with seed 7, got 0"
    assert message in capsys.readouterr().err
