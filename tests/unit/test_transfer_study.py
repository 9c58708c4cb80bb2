"""A study of transfer: which parts teach whom, from what, and what its tables say."""

from dataclasses import replace
from pathlib import Path

import pytest

from exemplar_training import config_file
from exemplar_training.config import RunConfig
from exemplar_training.data.fonts import FONTS
from exemplar_training.errors import ConfigError
from exemplar_training.transfer.report import Measured, as_json, tables
from exemplar_training.transfer.study import Study, arm_runs, source_runs

PARTS = ("a", "b", "c", "d", "e")
OUT = Path("/studies/letters")
STUDY = Study(
    seeds=(3, 4),
    teaching=(1, 3),
    judging=("b", "d"),
    arms={"scratch": "", "frozen": "model.init=source model.trained=head"},
)
CONFIGS = Path(config_file.__file__).parent / "configs"


def taught(study, arm="frozen"):
    runs = arm_runs(study, PARTS, OUT)
    return {(run.seed, run.count): run.config.data.parts for run in runs if run.name == arm}


def test_all_arms_are_taught_by_the_same_parts_and_none_by_those_that_judge():
    assert taught(STUDY) == taught(STUDY, "scratch")
    for (_, count), parts in taught(STUDY).items():
        assert len(parts) == count
        assert set(parts) <= {"a", "c", "e"}


def test_fewer_parts_are_among_more_and_the_seed_draws_them():
    parts = taught(replace(STUDY, seeds=tuple(range(10))))
    for seed in range(10):
        assert set(parts[seed, 1]) < set(parts[seed, 3])
    assert {parts[seed, 1] for seed in range(10)} == {("a",), ("c",), ("e",)}


def test_an_arm_starts_from_the_source_of_its_seed_or_from_nothing():
    sources = source_runs(STUDY, OUT)
    assert [config.seed for config in sources.values()] == [3, 4]
    for run in arm_runs(STUDY, PARTS, OUT):
        source = OUT / "source" / f"seed{run.seed}"
        assert source in sources
        expected = str(source) if run.name == "frozen" else ""
        assert (run.config.model.init, run.config.seed) == (expected, run.seed)
        assert run.folder == OUT / run.name / str(run.count) / f"seed{run.seed}"


def test_an_arm_is_what_is_shared_and_its_own_settings():
    optimizer = replace(RunConfig().optimizer, rate=0.5)
    study = replace(STUDY, shared=replace(RunConfig(), optimizer=optimizer))
    for run in arm_runs(study, PARTS, OUT):
        assert run.config.model.trained == ("head" if run.name == "frozen" else "all")
        assert run.config.optimizer.rate == 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": ()}, r"^seeds: expected different whole numbers, one and more, got \[\]"),
        ({"seeds": (0, -1)}, r"^seeds: expected .* got \[0, -1\]"),
        ({"seeds": (0, 0)}, r"^seeds: expected .* got \[0, 0\]"),
        ({"judging": ()}, "^judging: expected one and more, got none"),
        ({"judging": ("f",)}, "^judging: expected parts of the set, got 'f'"),
        ({"teaching": (0,)}, "^teaching: expected 1 and more, got 0"),
        ({"teaching": (4,)}, "^teaching: expected no more than the 3 parts that .* got 4"),
        ({"arms": {}}, "^arms: expected one and more, got none"),
        ({"arms": {"x": "sed=1"}}, r"^arms\.x: --set: expected KEY=VALUE .* got 'sed=1'"),
        ({"arms": {"x": "model.trained=tail"}}, r"^arms\.x: model\.trained: expected one of"),
    ],
)
def test_a_study_that_cannot_be_run_is_refused_by_name(changes, message):
    with pytest.raises(ConfigError, match=message):
        list(arm_runs(replace(STUDY, **changes), PARTS, OUT))


def test_the_study_of_digits_and_letters_is_one():
    study = config_file.read_as(Study, CONFIGS / "transfer_digits_to_letters.toml")
    runs = list(arm_runs(study, [font.family for font in FONTS], OUT))
    assert len(runs) == len(study.seeds) * len(study.teaching) * len(study.arms)
    assert {run.config.data.name for run in runs} == {"letters"}
    assert study.source.data.name == "mnist"


# Tables

RIGHT = {"scratch": (0.2, 0.4), "frozen": (0.5, 0.5)}  # of two seeds
MEASURED = [
    Measured(arm, "own head", 1, seed, right)
    for seed in (0, 1)
    for arm, right in ((arm, values[seed]) for arm, values in RIGHT.items())
]


def test_the_tables_have_means_deviations_and_differences_seed_by_seed():
    assert [" ".join(line.split()) for line in tables(MEASURED)] == [
        "percent right: mean, deviation over seeds",
        "taught by 1 part",
        "scratch, own head 30.0 +- 14.1",
        "frozen, own head 50.0 +- 0.0",
        "",
        "minus scratch, own head, seed by seed, in points: mean, deviation, least",
        "taught by 1 part",
        "frozen, own head +20.0 +- 14.1 (+10.0)",
    ]


def test_the_columns_of_a_table_are_below_each_other():
    more = [replace(each, teaching=20, accuracy=1.0) for each in MEASURED]
    assert len({len(line) for line in tables([*MEASURED, *more])[1:4]}) == 1


def test_one_seed_has_no_deviation():
    shown = [line.split()[-1] for line in tables(MEASURED[:2])[2:4]]
    assert shown == ["20.0", "50.0"]


def test_the_json_has_every_seed():
    document = as_json(MEASURED)
    assert document["accuracies"][1]["values"] == (0.5, 0.5)
    (gap,) = document["differences"]
    assert gap["values"] == pytest.approx((0.3, 0.1))
