"""Claims about archives: plain tar, the same bytes each time, and no byte can change unseen."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exemplar_server.core import archive
from exemplar_server.errors import InvalidInputError

MEMBERS = {"one": b"1" * 700, "folder/two": b"", "three": bytes(range(256)) * 4}


def written(members):
    file = io.BytesIO()
    writer = archive.ArchiveWriter(file)
    for name, data in members.items():
        writer.add(name, data)
    writer.finish()
    assert writer.size_bytes == len(file.getvalue())
    return file.getvalue()


WHOLE = written(MEMBERS)


def test_tar_reads_it():
    with tarfile.open(fileobj=io.BytesIO(WHOLE)) as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar}
    checksum = found.pop(archive.CHECKSUM)
    assert found == MEMBERS
    assert len(checksum) == 65


def test_the_same_members_make_the_same_bytes():
    assert written(MEMBERS) == WHOLE


def test_a_file_is_a_member_as_bytes_are():
    file = io.BytesIO()
    writer = archive.ArchiveWriter(file)
    for name, data in MEMBERS.items():
        writer.add_file(name, io.BytesIO(data))
    writer.finish()
    assert file.getvalue() == WHOLE


def test_what_was_written_is_read():
    file = io.BytesIO(WHOLE)
    archive.check(file)
    found = {m.name: archive.content(file, m, 10_000) for m in archive.members(file)}
    assert found == MEMBERS


@given(place=st.integers(0, len(WHOLE) - 1), flip=st.integers(1, 255))
def test_no_byte_can_change(place, flip):
    changed = bytearray(WHOLE)
    changed[place] ^= flip
    with pytest.raises(InvalidInputError, match="corrupt or incomplete"):
        archive.check(io.BytesIO(changed))


@given(length=st.integers(0, len(WHOLE) - 1))
def test_nothing_can_be_missing_at_the_end(length):
    with pytest.raises(InvalidInputError, match="corrupt or incomplete"):
        archive.check(io.BytesIO(WHOLE[:length]))


@given(more=st.binary(min_size=1, max_size=2000))
def test_nothing_can_follow_the_end(more):
    with pytest.raises(InvalidInputError, match="corrupt or incomplete"):
        archive.check(io.BytesIO(WHOLE + more))


def test_a_member_above_what_may_be_read_at_once_is_refused():
    file = io.BytesIO(WHOLE)
    first = next(archive.members(file))
    with pytest.raises(InvalidInputError, match="one: expected up to 699 bytes, got 700"):
        archive.content(file, first, 699)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_a_member_that_is_no_file_is_refused(kind):
    info = tarfile.TarInfo("/etc/passwd")
    info.type = kind
    file = io.BytesIO(info.tobuf(tarfile.GNU_FORMAT) + WHOLE)
    with pytest.raises(InvalidInputError, match="is no file"):
        archive.member_at(file, 0)


@pytest.mark.parametrize("size", [-1, len(WHOLE), 2**40])
def test_a_member_that_would_end_elsewhere_is_refused(size):
    info = tarfile.TarInfo("one")
    info.size = size
    file = io.BytesIO(info.tobuf(tarfile.GNU_FORMAT) + WHOLE)
    with pytest.raises(InvalidInputError, match="is no file"):
        archive.member_at(file, 0)


def test_what_is_no_header_is_refused():
    with pytest.raises(InvalidInputError, match="no member begins at byte 512"):
        archive.member_at(io.BytesIO(WHOLE), 512)
