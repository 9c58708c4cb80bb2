"""Loading: classes, parts and sources as they lie on disk, and damage that is named."""

import json

import numpy as np
import pytest

from exemplar_training.data.folder import load, load_folder
from exemplar_training.data.layout import Facts, SetImage, write_set
from exemplar_training.errors import DataError


def write(root, parts="splits", names=("test", "train")):
    images = [
        SetImage(part, class_name, f"{i}.png", f"{part} {class_name} {i}".encode())
        for part in names
        for class_name in ("dog", "cat")
        for i in range(2)
    ]
    return write_set(root, Facts("pets", parts, ["npm pets 1"], "MIT"), images)


def test_a_set_has_its_classes_sorted_and_its_files_in_order(tmp_path):
    write(tmp_path)
    images = load(tmp_path, "pets", ["train"])
    assert images.class_names == ("cat", "dog")
    assert images.class_ids_N.tolist() == [0, 0, 1, 1]
    assert list(images.files) == [b"train cat 0", b"train cat 1", b"train dog 0", b"train dog 1"]


def test_all_parts_are_loaded_unless_some_are_named(tmp_path):
    write(tmp_path)
    assert (len(load(tmp_path, "pets")), len(load(tmp_path, "pets", ["test"]))) == (8, 4)


def test_splits_have_no_sources(tmp_path):
    write(tmp_path)
    assert load(tmp_path, "pets").sources_N is None


def test_a_source_keeps_its_number_whatever_parts_are_loaded(tmp_path):
    write(tmp_path, "sources", ("ink", "oil"))
    assert load(tmp_path, "pets").sources_N.tolist() == [0] * 4 + [1] * 4
    assert load(tmp_path, "pets", ["oil"]).sources_N.tolist() == [1] * 4


def test_base_and_novel_classes_are_told_apart(tmp_path):
    write(tmp_path)
    dogs = load(tmp_path, "pets", ["test"]).of_classes([1])
    assert list(dogs.files) == [b"test dog 0", b"test dog 1"]
    assert set(dogs.class_ids_N) == {1}


def test_a_set_that_is_not_there_says_how_to_fetch_it(tmp_path):
    with pytest.raises(DataError, match=r"set pets: .* exemplar-train data fetch pets --root"):
        load(tmp_path, "pets")


def test_a_half_written_set_is_not_there(tmp_path):
    half = tmp_path / "pets" / "train" / "cat"
    half.mkdir(parents=True)
    (half / "0.png").write_bytes(b"cat")
    with pytest.raises(DataError, match="exemplar-train data fetch pets"):
        load(tmp_path, "pets")


def test_a_missing_image_names_class_folder_and_counts(tmp_path):
    write(tmp_path)
    (tmp_path / "pets/train/dog/1.png").unlink()
    with pytest.raises(DataError, match=r"pets/train/dog: expected 2 images, got 1: .*data fetch"):
        load(tmp_path, "pets")


def test_a_missing_class_folder_is_named(tmp_path):
    write(tmp_path)
    for file in (tmp_path / "pets/train/dog").iterdir():
        file.unlink()
    (tmp_path / "pets/train/dog").rmdir()
    with pytest.raises(DataError, match="pets/train/dog: expected 2 images, got 0"):
        load(tmp_path, "pets")


def test_an_unknown_part_names_those_there_are(tmp_path):
    write(tmp_path)
    with pytest.raises(DataError, match="no part dev, expected test, train"):
        load(tmp_path, "pets", ["dev"])


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "pets"}', '{"unknown": 1}'])
def test_a_broken_description_is_named(tmp_path, text):
    write(tmp_path)
    (tmp_path / "pets/data.json").write_text(text)
    with pytest.raises(DataError, match=r"pets/data\.json: expected the description"):
        load(tmp_path, "pets")


def test_a_description_of_another_format_is_refused(tmp_path):
    write(tmp_path)
    path = tmp_path / "pets/data.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(DataError, match="expected format 1, got 2"):
        load(tmp_path, "pets")


def test_any_folder_of_class_folders_loads_at_any_depth(tmp_path):
    for path in ("b/1.jpg", "a/deep/2.PNG", "a/1.webp", "a/notes.txt", "a/._1.jpg", ".git/x.png"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(path.encode())
    images = load_folder(tmp_path)
    assert (images.name, images.class_names) == (tmp_path.name, ("a", "b"))
    assert list(images.files) == [b"a/1.webp", b"a/deep/2.PNG", b"b/1.jpg"]
    np.testing.assert_array_equal(images.class_ids_N, [0, 0, 1])


def test_an_empty_class_folder_is_named(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/1.png").write_bytes(b"1")
    (tmp_path / "hollow").mkdir()
    with pytest.raises(DataError, match=r"hollow: expected images \(\.jpeg \.jpg \.png \.webp\)"):
        load_folder(tmp_path)


def test_a_folder_without_class_folders_is_refused(tmp_path):
    (tmp_path / "1.png").write_bytes(b"1")
    with pytest.raises(DataError, match="expected a folder for each class, found none"):
        load_folder(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="nowhere: expected a folder"):
        load_folder(tmp_path / "nowhere")


def test_a_file_that_is_gone_when_it_is_read_is_named(tmp_path):
    write(tmp_path)
    images = load(tmp_path, "pets")
    (tmp_path / "pets/test/cat/0.png").unlink()
    with pytest.raises(DataError, match=r"test/cat/0\.png: expected an image"):
        images.files[0]
