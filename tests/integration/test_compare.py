"""A comparison on squares: trained once, judged as evaluate does, stopped and gone on with."""

import json
import signal
from dataclasses import replace

import pytest

from exemplar_training import cli, config_file
from exemplar_training.comparison import judge
from exemplar_training.comparison.run import compare
from exemplar_training.comparison.study import Study
from exemplar_training.data.layout import Facts, SetImage, write_set
from exemplar_training.fit import checkpoint
from fit_runs import checkpoints
from report_pages import Page
from training_images import NAMES, squares

pytestmark = pytest.mark.usefixtures("one_thread")
FULL, HOLLOW = NAMES[:3], NAMES[3:]
STUDY = f"""
seeds = [0, 1]

[trial]
data = "squares"
classes = {list(HOLLOW)}
n_way = 3
n_shots = [1, 2]
n_query = 3
episodes = 20

[shared.data]
name = "squares"
parts = ["train"]
classes = {list(FULL)}
batch = 8

[shared.model]
dim = 64

[shared.simclr]
hidden = 32
dim = 16

[shared.schedule]
steps = 2

[arms]
supervised = ""
simclr = "method=simclr"
still = "schedule.steps=0"
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A fetched set of two splits, and the study."""
    folder = tmp_path_factory.mktemp("data")
    write_set(folder, Facts("squares", "splits", ["a test"], "Apache-2.0"), set_images())
    (folder / "study.toml").write_text(STUDY)
    return folder


def set_images():
    for seed, part in enumerate(("test", "train")):
        images = squares(36, seed)
        for row, class_id in enumerate(images.class_ids_N):
            name = images.class_names[class_id]
            yield SetImage(part, name, f"{row}.png", images.files[row])


def sets(root):
    return [f"{table}.root={root}" for table in ("shared.data", "trial")]


def command(root, out, *overrides):
    asked = [word for each in (*sets(root), *overrides) for word in ("--set", each)]
    return cli.main(["compare", str(root / "study.toml"), "--out", str(out), *asked])


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    out = tmp_path_factory.mktemp("studies") / "squares"
    assert command(root, out) == 0
    return out


def result(out):
    rows = json.loads((out / "result.json").read_text())["rows"]
    return {row["name"]: row for row in rows}


def test_each_arm_is_trained_for_each_seed_and_held_against_the_floors(done):
    arms = ["supervised", "simclr", "still"]
    runs = {str(path.parent.relative_to(done)) for path in checkpoints(done)}
    assert runs == {f"{arm}/seed{seed}" for arm in arms for seed in (0, 1)}
    rows = result(done)
    assert list(rows) == [*arms, "untrained small_cnn, 32 px, 0.113M", "raw pixels"]
    for arm in arms:
        assert len(rows[arm]["minus"]["untrained"]["prototype, 2-shot"]) == 2
        assert (min(rows[arm]["processor_seconds"]) > 0) == (arm != "still")


def test_an_arm_without_steps_is_what_it_starts_from(done):
    *_, still, untrained, _ = result(done).values()
    assert still["accuracies"] == untrained["accuracies"]


def test_the_page_and_the_table_say_the_same(done):
    page = Page((done / "compare.html").read_bytes())
    rows = [row[:2] for row in page.table("Percent right")[1:]]
    text = (done / "table.md").read_text()
    for name, share in rows:
        assert f"| {name} | {share.replace('±', '+-')} |" in text
    assert len(rows) == 5
    assert len(page.tags["rect"]) == 2 * len(rows)
    assert page.tags["script"] == []


def test_figures_are_those_of_evaluate_on_what_a_run_exports(done, root, tmp_path):
    run, found = done / "simclr/seed0", tmp_path / "found.json"
    assert cli.main(["export", "--checkpoint", str(run), "--out", str(tmp_path)]) == 0
    where = ["--data", "squares", "--root", str(root), "--classes", *HOLLOW]
    asked = ["--n-way", "3", "--n-shot", "1", "2", "--n-query", "3", "--episodes", "20"]
    what = ["--artifact", str(tmp_path / "seed0/1"), "--no-floors", "--json", str(found)]
    assert cli.main(["evaluate", *what, *where, *asked]) == 0
    ours = result(done)["simclr"]["accuracies"]
    for theirs in json.loads(found.read_text())["results"]:
        shares = ours.pop(f"{theirs['head']}, {theirs['n_shot']}-shot")
        assert shares[0] == pytest.approx(theirs["accuracy"]["mean"], abs=1e-9)
    assert ours == {}


def test_what_is_done_is_not_done_again(done, root, monkeypatch, capsys):
    before, told = checkpoints(done), result(done)
    monkeypatch.setattr(judge, "embedded", None)
    monkeypatch.setattr(judge, "raw_pixels", None)
    assert command(root, done, "sorted_by=prototype, 1-shot") == 0
    assert checkpoints(done) == before
    assert result(done) == told
    assert "Best at prototype, 1-shot: " in capsys.readouterr().out


def test_other_episodes_are_judged_anew(root, tmp_path):
    one_arm = {"still": "schedule.steps=0"}
    study = config_file.read_as(Study, root / "study.toml", [*sets(root), "seeds=[0]"])
    study = replace(study, arms=one_arm)
    contents = []
    for episodes in (20, 20, 10):
        trial = replace(study.trial, episodes=episodes)
        compare(replace(study, trial=trial), tmp_path, lambda _: None)
        contents.append((tmp_path / judge.FILE).read_bytes())
    assert contents[0] == contents[1] != contents[2]


def test_a_stopped_study_goes_on_to_the_same_result(done, root, tmp_path):
    def say(line):
        if line.startswith("simclr, seed 0: step 0 "):
            signal.raise_signal(signal.SIGTERM)

    study = config_file.read_as(Study, root / "study.toml", [*sets(root), "seeds=[0]"])
    with pytest.raises(SystemExit, match="143"):
        compare(study, tmp_path, say)
    assert checkpoint.load(tmp_path / "simclr/seed0" / checkpoint.FILE)["step"] == 1
    assert not (tmp_path / "result.json").exists()
    assert command(root, tmp_path, "seeds=[0]") == 0
    for name, row in result(tmp_path).items():
        both = result(done)[name]["accuracies"]
        assert row["accuracies"] == {column: shares[:1] for column, shares in both.items()}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("shared.schedule.steps=3", "--resume: schedule.steps: expected 2 as in the run's"),
        ("seeds=[]", "seeds: expected different whole numbers, one and more, got []"),
        ("trial.data=circles", "set circles: expected it in"),
        ("trial.classes=['pink']", "classes: expected classes of squares, got 'pink'"),
        ("trial.n_way=1", "n_way: expected 2 and more, got 1"),
        ("shared.data.classes=[]", "arms.supervised: expected to learn from no judging class, got"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(done, root, capsys, override, message):
    assert command(root, done, override) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"exemplar-train: {message}")
    assert error.count("\n") == 1
