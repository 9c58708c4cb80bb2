"""Fetching: a set is whole in its place or not there, and what is whole is left alone."""

import fcntl
import hashlib
from dataclasses import replace

import pytest

from exemplar_training.cli import main
from exemplar_training.data import sets
from exemplar_training.data.archive import read_members
from exemplar_training.data.fetch import DOWNLOADS, fetch
from exemplar_training.data.folder import load
from exemplar_training.data.layout import SetImage
from exemplar_training.data.registry import npm_package
from exemplar_training.data.sets import DataSet
from exemplar_training.errors import DataError
from training_archives import tar

ARCHIVE = tar({"train/cat/0.png": b"cat", "train/dog/0.png": b"dog"}, "gz")
PACKAGE = npm_package("pets", "1", hashlib.sha256(ARCHIVE).hexdigest())


def images(archives):
    for name, content in read_members(archives[0], lambda _: True).items():
        yield SetImage(*name.split("/"), content)


PETS = DataSet("pets", "cats and dogs", "MIT", "splits", (PACKAGE,), (), 2, images)


@pytest.fixture
def root(tmp_path):
    """A data root whose archive needs no network."""
    folder = tmp_path / DOWNLOADS
    folder.mkdir()
    (folder / PACKAGE.file).write_bytes(ARCHIVE)
    return tmp_path


def visible(root):
    return sorted(path.name for path in root.iterdir() if not path.name.startswith("."))


def test_a_fetched_set_loads_and_says_what_it_is(root):
    description = fetch(root, PETS)
    assert description.counts == {"train": {"cat": 1, "dog": 1}}
    assert description.origin == ["npm pets 1"]
    assert list(load(root, "pets").files) == [b"cat", b"dog"]
    assert not (root / ".pets.partial").exists()


def test_the_hash_covers_paths_and_contents(root):
    lines = [
        f"{hashlib.sha256(name.encode()).hexdigest()}  train/{name}/0.png\n"
        for name in ("cat", "dog")
    ]
    assert fetch(root, PETS).files_sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_a_whole_set_is_left_alone(root):
    first = fetch(root, PETS)
    (root / DOWNLOADS / PACKAGE.file).unlink()
    assert fetch(root, PETS) == first


def test_a_damaged_set_is_written_anew(root):
    fetch(root, PETS)
    (root / "pets/train/cat/0.png").write_bytes(b"cut")
    fetch(root, PETS)
    assert list(load(root, "pets").files) == [b"cat", b"dog"]


def test_a_set_of_another_version_is_written_anew(root):
    fetch(root, replace(PETS, license="another"))
    assert fetch(root, PETS).license == "MIT"


def test_a_failure_half_way_leaves_nothing(root):
    def broken(archives):
        yield from images(archives)
        raise DataError("half way")

    with pytest.raises(DataError, match="half way"):
        fetch(root, replace(PETS, images=broken))
    assert visible(root) == []
    assert not (root / ".pets.partial").exists()


def test_a_failure_keeps_the_set_that_was_there(root):
    fetch(root, PETS)
    with pytest.raises(DataError, match="expected 3 images, got 2"):
        fetch(root, replace(PETS, license="another", image_count=3))
    assert len(load(root, "pets")) == 2


def test_what_a_killed_process_left_is_no_part_of_the_set(root):
    left = root / ".pets.partial/train/bird"
    left.mkdir(parents=True)
    (left / "0.png").write_bytes(b"bird")
    assert fetch(root, PETS).class_names == ("cat", "dog")


def test_two_processes_do_not_write_one_set(root):
    with (root / ".pets.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="pets: another process is fetching it"):
            fetch(root, PETS)


def test_a_tool_that_is_not_installed_is_named(root):
    with pytest.raises(DataError, match="pets: expected no-such-tool installed: pip install"):
        fetch(root, replace(PETS, tools=("no-such-tool",)))


def test_a_root_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="--root: expected a writable directory"):
        fetch(tmp_path / "file", replace(PETS, packages=()))


def test_the_command_line_fetches_and_lists(root, monkeypatch, capsys):
    monkeypatch.setattr(sets, "SETS", {"pets": PETS})
    assert main(["data", "fetch", "pets", "--root", str(root)]) == 0
    assert main(["data", "list", "--root", str(root)]) == 0
    assert capsys.readouterr().out.count("2 images, 2 classes, train 2") == 2


def test_the_command_line_lists_what_is_not_there_or_damaged(root, monkeypatch, capsys):
    monkeypatch.setattr(sets, "SETS", {"pets": PETS, "more": replace(PETS, name="more")})
    (root / "pets").mkdir()
    assert main(["data", "list", "--root", str(root)]) == 0
    out = capsys.readouterr().out
    assert "damaged, fetch it again" in out
    assert "not fetched" in out


def test_an_unknown_set_is_refused_with_the_names_there_are(root, capsys):
    assert main(["data", "fetch", "imagenet", "--root", str(root)]) == 1
    assert "set imagenet: expected one of cifar10, mnist" in capsys.readouterr().err


def test_a_corrupt_archive_fails_the_command(root, monkeypatch, capsys):
    monkeypatch.setattr(sets, "SETS", {"pets": PETS})
    (root / DOWNLOADS / PACKAGE.file).write_bytes(ARCHIVE[:-1])
    assert main(["data", "fetch", "pets", "--root", str(root)]) == 1
    assert "corrupt archive" in capsys.readouterr().err
    assert visible(root) == []
