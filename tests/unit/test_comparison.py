"""A comparison without training: what it is told, what arms may see, what its tables say."""

from dataclasses import replace
from pathlib import Path

import pytest

from exemplar_training import config_file
from exemplar_training.comparison.judge import Judge
from exemplar_training.comparison.rows import Measured, as_json, rows_of
from exemplar_training.comparison.seen import warnings_of
from exemplar_training.comparison.study import ArmRun, Study, TrialConfig, arm_runs
from exemplar_training.comparison.table import lines, markdown
from exemplar_training.comparison.verdict import verdict
from exemplar_training.config import RunConfig
from exemplar_training.data.layout import DEFAULT_ROOT
from exemplar_training.errors import ConfigError, EvaluationError
from exemplar_training.evaluation.episodes import sample
from exemplar_training.evaluation.trial import Drawn
from exemplar_training.fit.images import RunImages
from report_pages import trial
from training_images import squares

STUDY = Study(seeds=(0, 1), trial=TrialConfig(data="letters"), arms={"plain": ""})
CONFIGS = Path(config_file.__file__).parent / "configs"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": (1, 1)}, r"^seeds: expected different whole numbers, .* got \[1, 1\]"),
        ({"arms": {}}, "^arms: expected one and more, got none"),
        ({"arms": {"a/b": ""}}, "^arms: expected names of 1.*, got 'a/b'"),
        ({"arms": {"x": "method=byool"}}, r"^arms\.x: method: expected one of .* got 'byool'"),
        ({"trial": TrialConfig()}, r"^trial\.data: expected the name of a set or a folder"),
        ({"trial": TrialConfig("x", n_shots=())}, r"^trial\.n_shots: expected one and more"),
        ({"sorted_by": "2-shot"}, "^sorted_by: expected one of prototype, 1-shot; "),
    ],
)
def test_a_study_that_cannot_be_run_is_refused_by_name(changes, message):
    with pytest.raises(ConfigError, match=message):
        arm_runs(replace(STUDY, **changes), Path("out"))


def test_the_study_of_letters_judges_by_letters_and_fonts_that_teach_no_arm():
    study = config_file.read_as(Study, CONFIGS / "compare_letters.toml")
    runs = arm_runs(study, Path("out"))
    assert len({run.folder for run in runs}) == len(study.seeds) * len(study.arms)
    for run in runs:
        assert not set(run.config.data.parts) & set(study.trial.parts)
        assert not set(run.config.data.classes) & set(study.trial.classes)


def test_an_arm_may_start_from_an_arm_before_it_of_the_same_seed():
    arms = {"first": "method=simclr", "then": "model.init=first", "other": "model.init=runs/x"}
    runs = {(run.name, run.seed): run for run in arm_runs(replace(STUDY, arms=arms), Path("out"))}
    assert runs["then", 1].config.model.init == str(runs["first", 1].folder)
    assert runs["other", 1].config.model.init == "runs/x"


def test_sets_lie_where_they_are_fetched_to():
    assert TrialConfig("letters").trial.root == DEFAULT_ROOT.expanduser()


# What arms have seen

IMAGES = squares(12)
JUDGING = replace(squares(12, seed=1), name="others")


def warned(images, judging, **changes):
    run = ArmRun("arm", 0, Path("out"), replace(RunConfig(), **changes))
    return warnings_of([run], {"arm": RunImages(images, None)}, judging)


def test_classes_of_the_same_set_are_not_learned_by_their_labels():
    same = replace(JUDGING, name=IMAGES.name)
    message = r"^arms\.arm: expected to learn from no judging class, got 6, such as blue, green, ho"
    with pytest.raises(EvaluationError, match=message):
        warned(IMAGES, same)
    (warning,) = warned(IMAGES, same, method="simclr")
    assert warning.startswith(
        "arm: judging class seen in training, without labels: 6, such as blue"
    )


def test_judging_images_are_not_learned_by_their_labels():
    images = replace(IMAGES, class_names=tuple("abcdef"))
    with pytest.raises(EvaluationError, match=r"from no judging file .*, got 12, such as "):
        warned(images, replace(IMAGES, name="others"))
    assert len(warned(images, replace(IMAGES, name="others"), method="simclr")) == 1


def test_classes_of_the_same_names_in_another_set_are_told():
    (warning,) = warned(IMAGES, JUDGING)
    assert warning.startswith("arm: judging class seen in training: 6, such as blue")


def test_what_learns_nothing_has_seen_nothing():
    still = replace(RunConfig().schedule, steps=0)
    assert warned(IMAGES, IMAGES, schedule=still) == []


# Judging


def test_other_images_with_the_same_labels_are_judged_anew(tmp_path):
    asked = trial()
    shares = []
    for seed in (0, 1, 1):
        images = squares(36, seed)
        drawn = Drawn(asked, images, 0, 0, [sample(images, spec) for spec in asked.specs])
        shares.append(Judge(drawn, tmp_path).of_raw_pixels())
    assert shares[0] != shares[1] == shares[2]


# Tables

ONE, FIVE = "prototype, 1-shot", "prototype, 5-shot"
RAW = {ONE: 0.25, FIVE: 0.5}


def measured(arm, ones, fives):
    before = {ONE: 0.3, FIVE: 0.6}
    return [
        Measured(arm, {ONE: one, FIVE: five}, "untrained net", before, 2.0, 1.5)
        for one, five in zip(ones, fives, strict=True)
    ]


MEASURED = [*measured("good", (0.5, 0.7), (0.8, 0.9)), *measured("bad", (0.1, 0.1), (0.7, 0.7))]


def words_of(line):
    return " ".join(line.split())


def test_the_table_has_arms_and_floors_and_how_far_they_are_apart():
    rows = rows_of(MEASURED, RAW, sorted_by="")
    assert [words_of(line) for line in lines(rows, [ONE, FIVE], FIVE)] == [
        "prototype, prototype, minus minus raw wall processor",
        "1-shot 5-shot untrained pixels seconds seconds",
        "good 60.0 +- 14.1 85.0 +- 7.1 +25.0 +- 7.1 +35.0 +- 7.1 2.0 1.5",
        "bad 10.0 +- 0.0 70.0 +- 0.0 +10.0 +- 0.0 +20.0 +- 0.0 2.0 1.5",
        "untrained net 30.0 +- 0.0 60.0 +- 0.0 - +10.0 +- 0.0 - -",
        "raw pixels 25.0 50.0 - - - -",
    ]


def test_a_column_sorts_arms_and_floors_alike():
    names = [row.name for row in rows_of(MEASURED, RAW, sorted_by=ONE)]
    assert names == ["good", "untrained net", "raw pixels", "bad"]


def test_columns_are_below_each_other_in_markdown_too():
    rows = rows_of(MEASURED, RAW, sorted_by="")
    assert {line.count("|") for line in markdown(rows, [ONE, FIVE], FIVE)} == {8}
    text = lines(rows, [ONE, FIVE], FIVE)
    ends = [line.rstrip().rfind(" ") for line in text if line.startswith(("good", "bad"))]
    assert len(set(ends)) == 1


def test_the_verdict_names_the_best_arm_and_the_next():
    words = verdict(rows_of(MEASURED, RAW, sorted_by=""), FIVE)
    assert words == (
        f"Best at {FIVE}: good, 85.0 +- 7.1 %; points: +25.0 +- 7.1 against untrained, "
        "+35.0 +- 7.1 against raw pixels, +15.0 +- 7.1 against bad, the next."
    )


def test_the_verdict_says_when_nothing_beats_a_floor():
    words = verdict(rows_of(measured("bad", (0.1, 0.1), (0.5, 0.5)), RAW, sorted_by=""), FIVE)
    assert words.endswith("0.0 against raw pixels. No arm is better than untrained and raw pixels.")


def test_the_json_has_every_seed():
    good, *_ = as_json(rows_of(MEASURED, RAW, sorted_by=""))
    assert good["accuracies"][ONE] == (0.5, 0.7)
    assert good["minus"]["untrained"][ONE] == pytest.approx((0.2, 0.4))
    assert good["wall_seconds"] == (2.0, 2.0)
