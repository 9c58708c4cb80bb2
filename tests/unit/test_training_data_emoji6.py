"""Emoji of several houses: which names are common, and each house's own drawing of them."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from exemplar_training.data.emoji6 import emoji6
from exemplar_training.errors import DataError
from training_archives import tar

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def icon(color, **view_box):
    return {"body": f'<rect width="4" height="8" fill="rgb{color}"/>', **view_box}


def house(folder, name, icons, aliases=None, **view_box):
    """The archive of a package whose drawings are 8 x 8 unless they say otherwise."""
    found = {"prefix": name, "icons": icons, "width": 8, "height": 8, **view_box}
    found |= {"aliases": aliases} if aliases else {}
    path = folder / f"{name}.tgz"
    members = {"package/icons.json": json.dumps(found).encode(), "package/info.json": b"{}"}
    path.write_bytes(tar(members, "gz"))
    return path


def names(archives):
    return sorted({image.class_name for image in emoji6(archives)})


def drawn(image):
    return np.asarray(Image.open(io.BytesIO(image.content)).convert("RGB"))


def test_a_class_is_a_name_that_every_house_drew_and_a_source_is_a_house(tmp_path):
    one = house(tmp_path, "one", {"cat": icon(RED), "bat": icon(RED), "ant": icon(RED)})
    other = house(tmp_path, "other", {"bat": icon(BLUE), "cat": icon(BLUE), "dog": icon(BLUE)})
    images = list(emoji6([one, other]))
    assert [image.path for image in images] == [
        "one/bat/bat.png",
        "one/cat/cat.png",
        "other/bat/bat.png",
        "other/cat/cat.png",
    ]
    assert [tuple(drawn(image)[36, 9]) for image in images] == [RED, RED, BLUE, BLUE]


def test_drawings_are_72_pixels_square_on_white(tmp_path):
    image = drawn(next(emoji6([house(tmp_path, "one", {"cat": icon(RED)})])))
    assert image.shape == (72, 72, 3)
    assert (tuple(image[36, 9]), tuple(image[36, 60])) == (RED, WHITE)


def test_a_drawing_that_is_not_square_is_centered(tmp_path):
    image = drawn(next(emoji6([house(tmp_path, "one", {"cat": icon(RED, width=4, height=8)})])))
    assert image.shape == (72, 72, 3)
    assert [tuple(image[36, x]) for x in (9, 36, 62)] == [WHITE, RED, WHITE]


def test_a_drawing_begins_where_its_view_box_does(tmp_path):
    image = drawn(next(emoji6([house(tmp_path, "one", {"cat": icon(RED)}, left=-4)])))
    assert [tuple(image[36, x]) for x in (9, 62)] == [WHITE, RED]


def test_an_alias_of_an_alias_is_the_same_drawing(tmp_path):
    aliases = {"kitty": {"parent": "puss"}, "puss": {"parent": "cat"}}
    one = house(tmp_path, "one", {"cat": icon(RED)}, aliases)
    other = house(tmp_path, "other", {"kitty": icon(BLUE)})
    images = list(emoji6([one, other]))
    assert [image.path for image in images] == ["one/kitty/kitty.png", "other/kitty/kitty.png"]
    assert tuple(drawn(images[0])[36, 9]) == RED


@pytest.mark.parametrize(
    "aliases",
    [
        pytest.param({"right": {"parent": "left", "hFlip": True}}, id="mirrored"),
        pytest.param({"right": {"parent": "nowhere"}}, id="of nothing"),
    ],
)
def test_an_alias_that_is_no_drawing_as_it_stands_is_no_name(aliases, tmp_path):
    one = house(tmp_path, "one", {"left": icon(RED)}, aliases)
    other = house(tmp_path, "other", {"left": icon(BLUE), "right": icon(GREEN)})
    assert names([one, other]) == ["left"]


def test_names_that_share_a_drawing_in_one_house_are_left_out(tmp_path):
    one = house(tmp_path, "one", {n: icon(RED) for n in ("cat", "cricket", "game")})
    icons = {"cat": icon(BLUE), "game": icon(BLUE)}
    other = house(tmp_path, "other", icons, {"cricket": {"parent": "game"}})
    assert names([one, other]) == ["cat"]


def test_a_second_name_that_is_not_common_does_no_harm(tmp_path):
    one = house(tmp_path, "one", {"cat": icon(RED)}, {"kitty": {"parent": "cat"}})
    assert names([one, house(tmp_path, "other", {"cat": icon(BLUE)})]) == ["cat"]


def test_the_same_archives_give_the_same_bytes(tmp_path):
    archives = [house(tmp_path, n, {"cat": icon(RED), "bat": icon(RED)}) for n in ("one", "other")]
    assert list(emoji6(archives)) == list(emoji6(archives))


def test_a_package_without_drawings_is_named(tmp_path):
    path = tmp_path / "empty.tgz"
    path.write_bytes(tar({"package/info.json": b"{}"}, "gz"))
    with pytest.raises(DataError, match=r"corrupt archive .*empty\.tgz"):
        list(emoji6([path]))
