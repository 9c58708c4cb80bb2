"""A run's configuration: read strictly, overridden, written back equal."""

import dataclasses

import pytest

from exemplar_training import cli, config_file
from exemplar_training.config import RunConfig
from exemplar_training.errors import ConfigError


def read(tmp_path, text="", overrides=()):
    path = tmp_path / "run.toml"
    path.write_text(text)
    return config_file.read(path, overrides)


def test_an_empty_file_is_the_defaults(tmp_path):
    assert read(tmp_path) == RunConfig()


def test_tables_and_values_are_read_and_a_whole_number_is_a_number(tmp_path):
    text = 'seed = 3\n[data]\nparts = ["base", "novel"]\n[optimizer]\nrate = 1\n'
    config = read(tmp_path, text)
    assert (config.seed, config.data.parts) == (3, ("base", "novel"))
    assert (config.optimizer.rate, type(config.optimizer.rate)) == (1.0, float)


def test_what_is_written_reads_back_equal(tmp_path):
    overrides = ['data.root=a "quoted" \\ folder\tü', "optimizer.rate=1e-7", "augment.flip=true"]
    config = read(tmp_path, '[data]\nparts = ["a b", "c"]', overrides)
    text = config_file.as_toml(config)
    assert config_file.parse(text) == config
    assert len(text.split("\n\n")) == 1 + len([f for f in dataclasses.fields(config) if f.init]) - 2


@pytest.mark.parametrize(
    ("override", "key", "expected"),
    [
        ("data.batch=32", "data.batch", 32),
        ("data.name=omniglyph", "data.name", "omniglyph"),
        ("data.name=123", "data.name", "123"),
        ('data.name="123"', "data.name", "123"),
        ("data.root=a=b", "data.root", "a=b"),
        ('data.parts=["a", "b"]', "data.parts", ("a", "b")),
        (" model.trained = head", "model.trained", "head"),
        ("optimizer.rate=1e-3", "optimizer.rate", 0.001),
        ("seed=7", "seed", 7),
    ],
)
def test_set_takes_the_place_of_the_file(override, key, expected, tmp_path):
    config = read(tmp_path, "seed = 1\n[data]\nbatch = 8\n", [override])
    assert config_file.flat(config)[key] == expected
    assert config.data.batch == (expected if key == "data.batch" else 8)


def test_a_configuration_is_written_back_with_what_is_set():
    text = config_file.as_toml(RunConfig())
    assert config_file.parse(text, ["seed=2"]) == dataclasses.replace(RunConfig(), seed=2)


@dataclasses.dataclass(frozen=True)
class Several:
    """Runs, numbers and named strings: what studies have beside a run's settings."""

    numbers: tuple[int, ...] = ()
    run: RunConfig = dataclasses.field(default_factory=RunConfig)
    named: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if not self.numbers:  # such a class has no defaults to ask for its keys
            raise ConfigError("numbers: expected one and more, got none")


def read_several(tmp_path, text, *overrides):
    (tmp_path / "several.toml").write_text(text)
    return config_file.read_as(Several, tmp_path / "several.toml", overrides)


def test_other_classes_are_read_with_tables_of_any_names(tmp_path):
    text = 'numbers = [1]\n[run.data]\nbatch = 8\n[named]\none = "a"\n'
    several = read_several(tmp_path, text, "numbers=[2, 3]", "run.seed=4", 'named={"two"="b"}')
    assert (several.numbers, several.named) == ((2, 3), {"two": "b"})
    assert (several.run.seed, several.run.data.batch) == (4, 8)


@pytest.mark.parametrize(
    ("text", "override", "message"),
    [
        ("numbers = [1.5]", "run.seed=1", r"^numbers: expected a list of whole numbers, got"),
        ("numbers = [true]", "run.seed=1", r"^numbers: expected a list of whole numbers, got"),
        ("numbers = [1]\nnamed = 1", "run.seed=1", "^named: expected a table, got 1"),
        ("numbers = [1]\nnamed = {a = 1}", "run.seed=1", r"^named\.a: expected a string, got 1"),
        (
            "",
            "seed=1",
            r"^--set: expected KEY=VALUE with a KEY of numbers, run\.seed, .* named, got",
        ),
    ],
)
def test_other_classes_are_read_as_strictly(tmp_path, text, override, message):
    with pytest.raises(ConfigError, match=message):
        read_several(tmp_path, text, override)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sed = 1", "^sed: expected one of seed, method, data, .* got an unknown key"),
        ("[data]\nbathc = 1", r"^data\.bathc: expected one of root, name, .* got an unknown key"),
        ("data = 1", "^data: expected a table, got 1"),
        ('[data]\nbatch = "8"', r"^data\.batch: expected a whole number, got '8'"),
        ("[data]\nbatch = 8.0", r"^data\.batch: expected a whole number, got 8\.0"),
        ("[data]\nbatch = true", r"^data\.batch: expected a whole number, got True"),
        ("[data]\nbatch = 0", r"^data\.batch: expected at least 1, got 0"),
        ('[data]\nparts = "train"', r"^data\.parts: expected a list of strings, got 'train'"),
        ("[data]\nparts = [1]", r"^data\.parts: expected a list of strings, got \[1\]"),
        ("[augment]\nflip = 1", r"^augment\.flip: expected true or false, got 1"),
        ("[augment]\ncrop = nan", r"^augment\.crop: expected 0\.01\.\.1\.0, got nan"),
        ('[model]\ntrained = "some"', r"^model\.trained: expected one of head, .* got 'some'"),
        ("[model]\ntrained = 1", r"^model\.trained: expected one of head, last_block, all, got 1"),
        ("seed", "^config: expected a TOML file, got"),
    ],
)
def test_what_is_wrong_is_named_with_what_was_expected(text, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize("override", ["data.batch", "data=1", "data.bathc=1", "a.b.c=1", "=1", ""])
def test_a_set_that_names_no_value_is_refused(override, tmp_path):
    with pytest.raises(ConfigError, match="--set: expected KEY=VALUE with a KEY of seed, method"):
        read(tmp_path, overrides=[override])


@pytest.mark.parametrize("text", ["data = 1", "data = []"])
def test_a_set_inside_what_is_no_table_is_refused(text, tmp_path):
    with pytest.raises(ConfigError, match="data: expected a table"):
        read(tmp_path, text, ["data.batch=1"])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"expected a TOML file, got .*no\.toml"):
        config_file.read(tmp_path / "no.toml")


def test_the_command_line_tells_it_and_ends_with_1(tmp_path, capsys):
    (tmp_path / "run.toml").write_text("[data]\nbathc = 1")
    arguments = ["fit", str(tmp_path / "run.toml"), "--out", str(tmp_path / "run")]
    assert cli.main(arguments) == 1
    assert capsys.readouterr().err.startswith("exemplar-train: data.bathc: expected one of root")
    assert not (tmp_path / "run").exists()
