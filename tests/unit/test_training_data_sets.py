"""Each set's own format, in tiny: pixels, labels and drawings end up where they belong."""

import gzip
import io
import json

import numpy as np
import pytest
from PIL import Image, ImageFont

from exemplar_training.data import emoji, glyphs, pixel_sets
from exemplar_training.data.fonts import FONTS, Font
from exemplar_training.data.registry import npm_package
from exemplar_training.data.sets import SETS
from exemplar_training.data.textile import textile
from exemplar_training.errors import DataError
from pictures import encoded
from training_archives import deb, tar, wheel_file

IDX_FILES = ("1/00000.png", "7/00001.png")


def write(path, content):
    path.write_bytes(content)
    return path


def pixels(image):
    return np.asarray(Image.open(io.BytesIO(image.content)))


def placed(images):
    return [image.path for image in images]


def test_cifar10_is_one_image_a_row_in_the_order_of_its_batches(tmp_path):
    sheets = np.random.default_rng(0).integers(0, 256, (6, 2, 1024, 3), dtype=np.uint8)
    names = [*(f"data_batch_{i}.png" for i in range(1, 6)), "test_batch.png"]
    members = {
        f"package/{name}": encoded(Image.fromarray(sheet))
        for name, sheet in zip(names, sheets, strict=True)
    }
    members["package/train_lables.json"] = json.dumps([*range(10)]).encode()
    members["package/test_lables.json"] = b"[9, 0]"
    images = list(pixel_sets.cifar10([write(tmp_path / "a.tgz", tar(members, "gz"))]))
    assert placed(images)[0] == "train/airplane/00000.png"
    assert placed(images)[9:] == [
        "train/truck/00009.png",
        "test/truck/00000.png",
        "test/airplane/00001.png",
    ]
    np.testing.assert_array_equal(pixels(images[3]), sheets[1, 1].reshape(32, 32, 3))


def idx_members():
    images = np.arange(2 * 28 * 28, dtype=np.uint32).astype(np.uint8).tobytes()
    return {
        f"d/{part}-{kind}-ubyte": content
        for part in ("train", "t10k")
        for kind, content in (
            ("images-idx3", b"h" * 16 + images),
            ("labels-idx1", b"h" * 8 + b"\1\7"),
        )
    }


def test_mnist_is_read_from_idx_files(tmp_path):
    images = list(pixel_sets.mnist([write(tmp_path / "a.tgz", tar(idx_members(), "gz"))]))
    assert placed(images) == [f"{part}/{file}" for part in ("train", "test") for file in IDX_FILES]
    np.testing.assert_array_equal(pixels(images[1]).ravel(), np.arange(784, 1568) % 256)


def test_fashion_mnist_is_read_from_a_debian_package(tmp_path):
    members = {f"{name}.gz": gzip.compress(content) for name, content in idx_members().items()}
    images = list(pixel_sets.fashion_mnist([write(tmp_path / "a.deb", deb(members))]))
    assert placed(images)[:2] == ["train/trouser/00000.png", "train/sneaker/00001.png"]


def test_a_missing_idx_file_is_named(tmp_path):
    members = {"d/train-images-idx3-ubyte": b"h" * 16}
    with pytest.raises(DataError, match=r"corrupt archive: expected a file train-labels-"):
        list(pixel_sets.mnist([write(tmp_path / "a.tgz", tar(members, "gz"))]))


def test_textile_files_are_kept_as_they_are(tmp_path):
    members = {
        "p/data/textile_images/simulated/local/textile_0001.jpg": b"cloth",
        "p/data/textile_images/README.md": b"no image",
    }
    images = list(textile([write(tmp_path / "a.whl", wheel_file(members))]))
    assert [(it.path, it.content) for it in images] == [("all/local/textile_0001.jpg", b"cloth")]


def svg(color):
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8">'
        f'<rect width="4" height="8" fill="{color}"/></svg>'
    ).encode()


def test_emoji_are_what_both_houses_drew_less_skin_tones_and_flags(tmp_path):
    codes = ("1f600", "1f44b-1f3fb", "1f1e6-1f1e8")
    one = {f"t/assets/svg/{code}.svg": svg("red") for code in (*codes, "1f601")}
    other = {f"o/openmoji/svg/{code.upper()}.svg": svg("blue") for code in codes}
    archives = [
        write(tmp_path / f"{i}.whl", wheel_file(members)) for i, members in enumerate((one, other))
    ]
    images = list(emoji.emoji(archives))
    assert placed(images) == ["twemoji/1F600/1F600.png", "openmoji/1F600/1F600.png"]
    drawn = np.asarray(Image.open(io.BytesIO(images[0].content)).convert("RGB"))
    assert drawn.shape == (72, 72, 3)
    assert (drawn[36, 9].tolist(), drawn[36, 60].tolist()) == ([255, 0, 0], [255, 255, 255])


@pytest.fixture
def font_archive(tmp_path, monkeypatch):
    """Pillow's own font as the only one of the table."""
    font = Font("Pillow_400Regular", npm_package("pillow", "1", ""))
    monkeypatch.setattr(glyphs, "FONTS", (font,))
    file = ImageFont.load_default(20).font_bytes
    return write(tmp_path / "a.tgz", tar({"package/Pillow_400Regular.ttf": file}, "gz"))


def test_glyphs_are_black_on_white_and_centered(font_archive):
    images = list(glyphs.letters([font_archive]))
    assert placed(images)[:2] == ["Pillow/A/A.png", "Pillow/B/B.png"]
    assert len(images) == 26
    for image in images:
        rows, columns = np.nonzero(pixels(image) < 128)
        assert pixels(image).shape == (64, 64)
        assert abs(rows.min() + rows.max() - 63) <= 2
        assert abs(columns.min() + columns.max() - 63) <= 2


def test_the_largest_glyph_of_a_font_fills_three_quarters(font_archive):
    sides = []
    for image in glyphs.digits([font_archive]):
        rows, columns = np.nonzero(pixels(image) < 128)
        sides.append(max(np.ptp(rows), np.ptp(columns)) + 1)
    assert 46 <= max(sides) <= 50


def test_a_font_that_lacks_a_character_is_named(font_archive, monkeypatch):
    monkeypatch.setattr(glyphs, "LETTERS", "A\u4e00")
    with pytest.raises(DataError, match="font Pillow: expected A\u4e00, got none for \u4e00"):
        list(glyphs.letters([font_archive]))


def test_the_handwritten_digits_of_scikit_learn_need_no_archive():
    images = list(pixel_sets.digits8([]))
    assert len(images) == SETS["digits8"].image_count
    assert sum(image.part == "test" for image in images) == 360
    assert (pixels(images[0]).shape, images[0].class_name) == ((8, 8), "0")


@pytest.mark.parametrize("data_set", SETS.values(), ids=SETS)
def test_every_archive_is_pinned(data_set):
    for package in data_set.packages:
        assert len(bytes.fromhex(package.sha256)) == 32
        assert package.version[0].isdigit()


def test_no_two_fonts_share_a_family():
    assert len({font.family for font in FONTS}) == len(FONTS)
