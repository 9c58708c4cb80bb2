"""Studies of domain adaptation: what they are told, which images they take, how they are told."""

import numpy as np
import pytest

from exemplar_training.adaptation import domains
from exemplar_training.adaptation.scores import Score
from exemplar_training.adaptation.study import Study
from exemplar_training.adaptation.table import tables
from exemplar_training.adaptation.trials import Candidate, Result, Row
from exemplar_training.config import DataConfig, RunConfig
from exemplar_training.errors import ConfigError
from exemplar_training.fit.images import images_of
from training_images import NAMES, squares, write_folder


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seeds": ()}, r"seeds: expected different whole numbers, one and more, got \[\]"),
        ({"methods": {"supervised": ("",)}}, "methods: expected adabn, .* got 'supervised'"),
        ({"methods": {"mmd": ()}}, r"methods\.mmd: expected candidates"),
        ({"methods": {"mmd": ("weight=1",)}}, r"methods\.mmd: --set: expected KEY=VALUE"),
    ],
)
def test_what_is_wrong_is_named(given, message):
    with pytest.raises(ConfigError, match=message):
        Study(**given)


def test_a_candidate_has_settings_of_its_own_and_the_studys_seed():
    study = Study(methods={"shot": ("adaptation.weight=0.3 optimizer.rate=0.01",)})
    config = study.adapting("shot", *study.methods["shot"], seed=4, init="runs/a b")
    assert (config.method, config.seed, config.model.init) == ("shot", 4, "runs/a b")
    assert (config.adaptation.weight, config.optimizer.rate) == (0.3, 0.01)


@pytest.fixture
def study(tmp_path):
    for seed, name in enumerate(("source", "target", "test")):
        write_folder(squares(60, seed), tmp_path / name)
    shared = RunConfig(
        data=DataConfig(root=str(tmp_path / "source")),
        target=DataConfig(root=str(tmp_path / "target")),
    )
    test = DataConfig(root=str(tmp_path / "test"), n_shot=3)
    return Study(shared=shared, test=test, is_shifted_too=True, is_missing_too=True)


def test_a_shifted_target_has_few_of_every_second_class_and_a_missing_one_none(study):
    loaded = domains.load(study)
    counts = {name: np.bincount(t.class_ids_N).tolist() for name, t in loaded.targets.items()}
    assert counts["plain"] == [10] * 6
    assert counts["shifted"] == [10, 2] * 3
    assert counts["missing"] == [0, *[10] * 5]
    assert np.bincount(loaded.test.class_ids_N).tolist() == [3] * 6


def test_domains_of_different_classes_are_refused(study, tmp_path):
    write_folder(squares(1), tmp_path / "target" / "more")
    with pytest.raises(ConfigError, match=r"shared\.target: expected the classes of source, got"):
        domains.load(study)


def test_classes_are_those_named_in_that_order(tmp_path):
    write_folder(squares(12), tmp_path)
    data = DataConfig(root=str(tmp_path), classes=("red", "blue"))
    chosen = images_of(data)
    assert chosen.class_names == ("red", "blue")
    names = [chosen.class_names[class_id] for class_id in chosen.class_ids_N]
    assert names == ["blue", "blue", "red", "red"]
    with pytest.raises(ConfigError, match=r"data\.classes: expected classes of .* got 'pink'"):
        images_of(DataConfig(root=str(tmp_path), classes=("pink",)))


def test_the_table_has_means_spreads_and_what_was_chosen():
    scores = (Score(0.5, (0.5,) * 6), Score(0.7, (0.9, *[0.5] * 5)))
    rows = (Row("source-only", "plain", scores), Row("mmd", "shifted", scores))
    rows = (*rows, Row("mmd", "plain", scores))
    tried = (Candidate("mmd", "a=1", 0.1), Candidate("mmd", "a=2", 0.2))
    lines = tables(Result(tried, {"mmd": "a=2"}, rows), NAMES).splitlines()
    assert lines[1].split() == ["source-only", "60.0", "+-", "14.1", "-"]
    assert lines[2].endswith("60.0 +- 14.1   60.0 +- 14.1")
    assert lines[6].split() == ["mmd", "70.0", *["50.0"] * 5]
    assert lines[-2:] == ["  0.100  mmd a=1", "* 0.200  mmd a=2"]


def test_images_that_nobody_named_are_not_those_of_the_working_directory():
    with pytest.raises(ConfigError, match="expected the name of a set or a root, got neither"):
        images_of(DataConfig())
