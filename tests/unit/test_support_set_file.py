"""Claims about a support set's file: what other tools read in it, and what is refused."""

import io
import json
import tarfile
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exemplar_server.core.archive import ArchiveWriter
from exemplar_server.core.exemplars import Exemplar
from exemplar_server.core.support_set_file import SupportSetWriter, npy_header
from exemplar_server.core.support_set_reading import SupportSetFile
from exemplar_server.errors import InvalidInputError, LimitExceededError
from fakes import DIM, support_set, unit_rows

COUNT = 300  # more than a page
ROWS_ND = unit_rows(np.random.default_rng(0), COUNT)
IDS = [f"{n:04}" for n in range(COUNT)]
IMAGES = {exemplar_id: bytes([n % 256]) * 50 for n, exemplar_id in enumerate(IDS) if n % 3}
TARGET = support_set(revision=7, exemplar_count=COUNT)


def exemplars():
    return [
        Exemplar(i, f"läbel {n % 5}", {"at": str(n)}, 1, i in IMAGES, embedding_D=ROWS_ND[n])
        for n, i in enumerate(IDS)
    ]


def written(target=TARGET, most_bytes=2**30):
    file, all_of_them = io.BytesIO(), exemplars()
    with SupportSetWriter(file, most_bytes) as writer:
        writer.begin(replace(target, revision=1))
        writer.take(all_of_them[:9], IMAGES)
        writer.begin(target)  # it was changed meanwhile
        for start in range(0, COUNT, 7):
            writer.take(all_of_them[start : start + 7], IMAGES)
        assert writer.finish() == len(file.getvalue())
    return file.getvalue()


WHOLE = written()


def read(data, check=lambda _path, _exemplar: None, image_bytes=100):
    return SupportSetFile(io.BytesIO(data), check, image_bytes)


def members(data=WHOLE):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar}
    del found["SHA256"]
    return found


def packed(found):
    """An archive of any members, with a right checksum."""
    file = io.BytesIO()
    writer = ArchiveWriter(file)
    for name, data in found.items():
        writer.add(name, data)
    writer.finish()
    return file.getvalue()


def with_lines(change):
    """The file with `change` made to what its first two lines say."""
    found = members()
    lines = [json.loads(line) for line in found["exemplars.jsonl"].splitlines()]
    change(lines)
    found["exemplars.jsonl"] = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    return packed(found)


def with_manifest(**facts):
    found = members()
    found["manifest.json"] = json.dumps(json.loads(found["manifest.json"]) | facts).encode()
    return packed(found)


def test_other_tools_read_it():
    found = members()
    manifest = json.loads(found["manifest.json"])
    assert (manifest["format"], manifest["version"]) == ("exemplar-support-set", 1)
    assert (manifest["revision"], manifest["exemplar_count"]) == (7, COUNT)
    np.testing.assert_array_equal(np.load(io.BytesIO(found["embeddings.npy"])), ROWS_ND)
    lines = [json.loads(line) for line in found["exemplars.jsonl"].splitlines()]
    assert [line["exemplar_id"] for line in lines] == IDS
    for number, line in enumerate(lines):
        if line["image"]:
            assert sha256(found[f"images/{number}"]).hexdigest() == line["image"]["sha256"]


def test_the_same_support_set_makes_the_same_bytes():
    assert written() == WHOLE


def test_what_was_written_is_read_again_and_again():
    found = read(WHOLE)
    assert found.support_set == replace(TARGET, incarnation="")
    assert found.pictured_count == len(IMAGES)
    for _ in range(2):
        rows = [exemplar for page in found.pages() for exemplar in page]
        assert [(e.exemplar_id, e.label, e.metadata) for e in rows] == [
            (e.exemplar_id, e.label, e.metadata) for e in exemplars()
        ]
        np.testing.assert_array_equal([e.embedding_D for e in rows], ROWS_ND)
        assert {e.exemplar_id: e.image for e in rows if e.image} == IMAGES


def test_an_empty_support_set_is_read():
    file = io.BytesIO()
    with SupportSetWriter(file, 2**20) as writer:
        writer.begin(support_set())
        writer.finish()
    assert list(read(file.getvalue()).pages()) == []


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(label=text, metadata=st.dictionaries(text, text, max_size=3), image=st.binary(min_size=1))
def test_any_text_and_any_image_is_read_as_it_was_written(label, metadata, image):
    file = io.BytesIO()
    row = Exemplar("a", label, metadata, 1, has_image=True, embedding_D=ROWS_ND[0])
    with SupportSetWriter(file, 2**20) as writer:
        writer.begin(support_set(exemplar_count=1))
        writer.take([row], {"a": image})
        writer.finish()
    found = SupportSetFile(file, lambda _path, _exemplar: None, len(image))
    ((again,),) = found.pages()
    assert (again.label, again.metadata, again.image) == (label, metadata, image)


@given(place=st.integers(0, len(WHOLE) - 1), flip=st.integers(1, 255))
def test_a_changed_byte_is_refused(place, flip):
    changed = bytearray(WHOLE)
    changed[place] ^= flip
    with pytest.raises(InvalidInputError):
        read(bytes(changed))


@given(length=st.integers(0, len(WHOLE) - 1))
def test_a_truncated_file_is_refused(length):
    with pytest.raises(InvalidInputError):
        read(WHOLE[:length])


def test_a_file_above_the_limit_is_not_written():
    with pytest.raises(LimitExceededError, match="EXEMPLAR_TRANSFER_BYTES"):
        written(most_bytes=10_000)


# Files that are whole and wrong


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"version": 2}, "got 'exemplar-support-set' of version 2"),
        ({"format": "other"}, "got 'other' of version 1"),
        ({"dim": DIM + 1}, r"shape \(300, 5\)"),
        ({"exemplar_count": COUNT + 1}, r"shape \(301, 4\)"),
        ({"exemplar_count": -1}, "manifest.json as"),
        ({"created": "yesterday"}, "manifest.json as"),
        ({"fingerprint": None}, "manifest.json as"),
    ],
)
def test_a_wrong_manifest_is_refused(facts, message):
    with pytest.raises(InvalidInputError, match=message):
        read(with_manifest(**facts))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda lines: lines.pop(), "as many as"),
        (lambda lines: lines.append(lines[-1] | {"exemplar_id": "z"}), "fewer lines"),
        (lambda lines: lines.reverse(), "ids in order"),
        (lambda lines: lines[1].update(exemplar_id=IDS[0]), "ids in order"),
        (lambda lines: lines[0].pop("label"), "exemplars.jsonl as"),
        (lambda lines: lines[0].update(label=3), "exemplars.jsonl as"),
        (lambda lines: lines[0].update(label="\ud800"), "exemplars.jsonl as"),
        (lambda lines: lines[0].update(metadata=[1]), "exemplars.jsonl as"),
        (lambda lines: lines[0].update(metadata={"a": 1}), "exemplars.jsonl as"),
        (lambda lines: lines[1]["image"].update(sha256="0" * 64), "images/1: the image"),
        (lambda lines: lines[1]["image"].update(bytes=49), "images/1 of 49 bytes"),
        (lambda lines: lines[1]["image"].update(bytes=51), "images/1 of 51 bytes"),
        (lambda lines: lines[1].update(image=None), "images/2 at"),
        (lambda lines: lines[0].update(image={"bytes": 50, "sha256": "0" * 64}), "images/0 at"),
        (lambda lines: lines[0].update(label="x" * 2**20), "lines of up to"),
    ],
)
def test_wrong_lines_are_refused(wrong, message):
    with pytest.raises(InvalidInputError, match=message):
        read(with_lines(wrong))


@pytest.mark.parametrize("name", ["manifest.json", "images/1", "exemplars.jsonl", "embeddings.npy"])
@pytest.mark.parametrize("new_name", ["../../etc/passwd", "/etc/passwd", "images/../x", None])
def test_other_members_are_refused_whatever_they_are_called(name, new_name):
    found = members()
    renamed = {new_name if n == name else n: data for n, data in found.items()}
    renamed.pop(None, None)
    with pytest.raises(InvalidInputError):
        read(packed(renamed))


def test_a_member_more_is_refused():
    with pytest.raises(InvalidInputError, match="nothing after"):
        read(packed(members() | {"more": b""}))


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, 2.0])
def test_embeddings_that_are_not_of_unit_length_are_refused(value):
    rows_ND = ROWS_ND.copy()
    rows_ND[COUNT - 1] = value
    found = members()
    found["embeddings.npy"] = npy_header(COUNT, DIM) + rows_ND.tobytes()
    with pytest.raises(InvalidInputError, match="unit length"):
        read(packed(found))


@pytest.mark.parametrize(
    "array",
    [ROWS_ND.astype(np.float64), np.asfortranarray(ROWS_ND), ROWS_ND[1:], ROWS_ND.ravel()],
    ids=["float64", "by column", "a row less", "flat"],
)
def test_another_matrix_is_refused(array):
    file = io.BytesIO()
    np.save(file, array)
    found = members()
    found["embeddings.npy"] = file.getvalue()
    with pytest.raises(InvalidInputError, match=r"embeddings\.npy"):
        read(packed(found))


def test_a_pickle_is_never_loaded():
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}]), allow_pickle=True)
    found = members()
    found["embeddings.npy"] = file.getvalue()
    with pytest.raises(InvalidInputError, match=r"embeddings\.npy"):
        read(packed(found))


def test_embeddings_as_numpy_saves_them_are_read():
    file = io.BytesIO()
    np.save(file, ROWS_ND)
    found = members()
    found["embeddings.npy"] = file.getvalue()
    assert read(packed(found)).support_set.exemplar_count == COUNT


def test_an_image_above_the_limit_is_refused_unread():
    with pytest.raises(LimitExceededError, match="images/1: expected up to 49 bytes, got 50"):
        read(WHOLE, image_bytes=49)


def test_what_the_check_refuses_is_refused():
    def check(path, exemplar):
        if exemplar.exemplar_id == IDS[299]:
            raise InvalidInputError(f"{path}: no")

    with pytest.raises(InvalidInputError, match=r"exemplars\[299\]: no"):
        read(WHOLE, check)
