"""A study of transfer on squares: trained, found again, stopped and gone on with, refused."""

import json
import signal

import pytest
import torch

from exemplar_training import cli, config_file
from exemplar_training.data.folder import load
from exemplar_training.data.layout import Facts, SetImage, write_set
from exemplar_training.fit import checkpoint
from exemplar_training.fit.answers import logits
from exemplar_training.transfer.run import transfer as play
from exemplar_training.transfer.study import Study
from fit_runs import checkpoints
from training_images import squares

pytestmark = pytest.mark.usefixtures("one_thread")
STUDY = """
seeds = [0, 1]
teaching = [1]
judging = ["c"]

[source.data]
name = "squares"
parts = ["a"]
batch = 8

[source.model]
dim = 64

[source.schedule]
steps = 3

[shared.data]
name = "squares"
batch = 8

[shared.model]
dim = 64

[shared.schedule]
steps = 2

[arms]
scratch = ""
frozen = "model.init=source model.trained=head"
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A fetched set of three parts."""
    folder = tmp_path_factory.mktemp("data")
    write_set(folder, Facts("squares", "sources", ["a test"], "Apache-2.0"), set_images())
    return folder


def set_images():
    for seed, part in enumerate("abc"):
        images = squares(12, seed)
        for row, class_id in enumerate(images.class_ids_N):
            name = images.class_names[class_id]
            yield SetImage(part, name, f"{row}.png", images.files[row])


def sets(root):
    return [f"{run}.data.root={root}" for run in ("source", "shared")]


def transfer(root, out, *overrides):
    (root / "study.toml").write_text(STUDY)
    asked = [word for each in (*sets(root), *overrides) for word in ("--set", each)]
    return cli.main(["transfer", str(root / "study.toml"), "--out", str(out), *asked])


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    out = tmp_path_factory.mktemp("studies") / "squares"
    assert transfer(root, out) == 0
    return out


def result(out):
    return json.loads((out / "result.json").read_text())


def module(run):
    return checkpoint.load(run / checkpoint.FILE)["module"]


def test_a_study_trains_each_source_once_and_each_arm_for_each_seed(done):
    runs = {str(path.parent.relative_to(done)) for path in checkpoints(done)}
    assert runs == {
        f"{arm}/seed{seed}" for seed in (0, 1) for arm in ("source", "scratch/1", "frozen/1")
    }


def test_the_frozen_arm_ends_with_the_sources_backbone_to_the_last_bit(done):
    source, frozen = (module(done / run / "seed1") for run in ("source", "frozen/1"))
    backbone = [name for name in source if name.startswith("embedder.")]
    assert all(torch.equal(source[name], frozen[name]) for name in backbone)


def test_accuracies_are_of_the_judging_part_for_each_seed(done, root):
    judging = load(root, "squares", ["c"])
    told = {each["name"]: each["values"] for each in result(done)["accuracies"]}
    assert list(told) == [
        f"{arm}, {head}" for arm in ("scratch", "frozen") for head in ("own head", "prototype")
    ]
    for seed in (0, 1):
        answers = logits(done / "scratch/1" / f"seed{seed}", judging).argmax(axis=1)
        assert told["scratch, own head"][seed] == (answers == judging.class_ids_N).mean()


def test_a_study_again_finds_its_runs_and_says_the_same(done, root, capsys):
    before, told = checkpoints(done), result(done)
    assert transfer(root, done) == 0
    assert checkpoints(done) == before
    assert result(done) == told
    assert "minus scratch, own head, seed by seed" in capsys.readouterr().out


def test_a_stopped_study_goes_on_to_the_same_result(done, root, tmp_path):
    def say(line):
        if line.startswith("frozen taught by 1, seed 0: step 0 "):
            signal.raise_signal(signal.SIGTERM)

    study = config_file.read_as(Study, root / "study.toml", [*sets(root), "seeds=[0]"])
    with pytest.raises(SystemExit, match="143"):
        play(study, tmp_path, say)
    assert checkpoint.load(tmp_path / "frozen/1/seed0" / checkpoint.FILE)["step"] == 1
    assert not (tmp_path / "result.json").exists()
    assert transfer(root, tmp_path, "seeds=[0]") == 0
    whole, both = result(tmp_path)["accuracies"], result(done)["accuracies"]
    assert [each["values"] for each in whole] == [each["values"][:1] for each in both]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("shared.schedule.steps=3", "--resume: schedule.steps: expected 2 as in the run's"),
        ("seeds=[]", "seeds: expected different whole numbers, one and more, got []"),
        ("shared.data.name=circles", "set circles: expected it in"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(done, root, capsys, override, message):
    assert transfer(root, done, override) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"exemplar-train: {message}")
    assert error.count("\n") == 1
