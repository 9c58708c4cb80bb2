"""A study of domain adaptation: what is beside the methods, what chooses, what is found again."""

import json
import signal

import pytest

from exemplar_training import cli
from exemplar_training.adaptation.domains import Domains
from exemplar_training.adaptation.study import Study
from exemplar_training.adaptation.trials import Trials
from exemplar_training.config import RunConfig
from exemplar_training.config_file import from_table
from fit_runs import IMAGES, TABLE, Failing, checkpoints, with_files
from training_images import squares, write_folder

pytestmark = pytest.mark.usefixtures("one_thread")

STUDY = """
seeds = [0, 1]
is_shifted_too = true
[shared.data]
root = "source"
batch = 8
[shared.target]
root = "target"
batch = 8
[shared.model]
dim = 64
[shared.schedule]
steps = 2
[shared.compute]
device = "cpu"
[test]
root = "test"
[methods]
mcc = ["adaptation.weight=0.1", "adaptation.weight=1 optimizer.rate=0.01"]
adabn = [""]
"""


@pytest.fixture(scope="module")
def folder(one_thread, tmp_path_factory):
    """The study after its first call."""
    at = tmp_path_factory.mktemp("study")
    for seed, name in enumerate(("source", "target", "test")):
        write_folder(squares(60, seed), at / name)
    (at / "study.toml").write_text(STUDY)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(at)
        assert cli.main(["adapt", "study.toml", "--out", "runs"]) == 0
    return at


def result(folder):
    return json.loads((folder / "runs" / "result.json").read_text())


def test_source_oracle_and_labelled_exemplars_are_beside_the_methods(folder):
    rows = [(row["name"], row["variant"]) for row in result(folder)["rows"]]
    few = [f"{k} labelled on {name}" for k in (1, 5) for name in ("source-only", "adabn")]
    alone = ["source-only", *few, "oracle"]
    methods = [(name, v) for name in ("adabn", "mcc") for v in ("plain", "shifted")]
    assert sorted(rows) == sorted([*((name, "plain") for name in alone), *methods])
    assert all(len(row["scores"]) == 2 for row in result(folder)["rows"])
    assert all(len(score["recall_C"]) == 6 for r in result(folder)["rows"] for score in r["scores"])


def test_the_criterion_chooses_and_what_it_said_is_kept(folder):
    of_mcc = [each for each in result(folder)["candidates"] if each["method"] == "mcc"]
    assert len({each["criterion"] for each in of_mcc}) == 2
    best = max(of_mcc, key=lambda each: each["criterion"])
    assert result(folder)["chosen"]["mcc"] == best["settings"]
    runs = {path.parent.name for path in folder.glob("runs/plain/mcc/*/seed1")}
    assert runs == {best["settings"].replace(" ", ",")}


def test_finished_runs_are_found_again(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    before = result(folder)
    times = checkpoints(folder / "runs")
    assert len(times) == 2 + 2 + 2 * 2 + (2 + 1) + 2  # source, oracle, adabn, mcc
    assert cli.main(["adapt", "study.toml", "--out", "runs"]) == 0
    assert result(folder) == before
    assert times == checkpoints(folder / "runs")
    assert "oracle" in capsys.readouterr().out


def test_runs_of_other_settings_are_not_found_again(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    changed = ["--set", "shared.optimizer.rate=0.5"]
    assert cli.main(["adapt", "study.toml", "--out", "runs", *changed]) == 1
    assert "optimizer.rate: expected 0.05 as in the run's" in capsys.readouterr().err


def test_a_signal_stops_the_study_and_the_next_call_goes_on(tmp_path):
    def stop():
        signal.raise_signal(signal.SIGTERM)

    study = Study(seeds=(0,), shared=from_table(RunConfig, TABLE), methods={"tent": ("",)})
    failing = Domains(with_files(Failing(IMAGES.files, 3, stop)), {"plain": IMAGES}, IMAGES)
    with pytest.raises(SystemExit, match="143"):
        Trials(study, failing, tmp_path, print).play()
    played = Trials(study, Domains(IMAGES, {"plain": IMAGES}, IMAGES), tmp_path, print).play()
    # The images of the score are the target's: no label of theirs may teach.
    assert [row.name for row in played.rows] == ["source-only", "tent"]
