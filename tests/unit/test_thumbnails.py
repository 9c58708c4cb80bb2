"""Thumbnails: by exemplar id, and one that cannot be made costs only itself."""

import pytest

from exemplar_server.core.thumbnails import Thumbnails
from exemplar_server.errors import LimitExceededError, UndecodableImageError
from fakes import BAD_IMAGE


def small(image):
    if image == BAD_IMAGE:
        raise UndecodableImageError("not a readable image")
    if len(image) > 10:
        raise LimitExceededError("too many pixels")
    return image[:1]


def test_thumbnails_come_under_the_ids_of_their_images():
    assert Thumbnails(small).of({"a": b"1234", "b": b"5678"}) == {"a": b"1", "b": b"5"}


@pytest.mark.parametrize("image", [BAD_IMAGE, b"x" * 11])
def test_an_image_that_cannot_be_shown_any_more_is_left_out(image):
    assert Thumbnails(small).of({"a": image, "b": b"5678"}) == {"b": b"5"}


def test_a_fault_of_the_library_is_not_hidden():
    with pytest.raises(TypeError):
        Thumbnails(small).of({"a": None})


def test_no_images_give_no_thumbnails():
    assert Thumbnails(small).of({}) == {}
