"""Thumbnails: by exemplar id, a few at a time, and one that cannot be made costs only itself."""

import pytest

from exemplar_server.core.thumbnails import IMAGES_AT_ONCE, Thumbnails
from exemplar_server.errors import LimitExceededError, UndecodableImageError
from fakes import BAD_IMAGE


class FakeImages:
    """The store's kept images; remembers how many were asked for together."""

    def __init__(self, images):
        self._images = images
        self.asked = []

    async def images(self, _incarnation, exemplar_ids):
        self.asked.append(len(exemplar_ids))
        return {i: self._images[i] for i in exemplar_ids if i in self._images}


def small(image):
    if image == BAD_IMAGE:
        raise UndecodableImageError("not a readable image")
    if len(image) > 10:
        raise LimitExceededError("too many pixels")
    return image[:1]


async def of(images, *exemplar_ids):
    return await Thumbnails(FakeImages(images), small).of("incarnation", exemplar_ids)


async def test_thumbnails_come_under_the_ids_of_their_images():
    assert await of({"a": b"1234", "b": b"5678"}, "a", "b") == {"a": b"1", "b": b"5"}


@pytest.mark.parametrize("image", [BAD_IMAGE, b"x" * 11])
async def test_an_image_that_cannot_be_shown_any_more_is_left_out(image):
    assert await of({"a": image, "b": b"5678"}, "a", "b", "not kept") == {"b": b"5"}


async def test_a_fault_of_the_library_is_not_hidden():
    with pytest.raises(TypeError):
        await of({"a": None}, "a")


async def test_no_images_give_no_thumbnails():
    assert await of({}) == {}


async def test_a_thousand_images_are_never_held_together():
    images = {str(n): b"1234" for n in range(1000)}
    store = FakeImages(images)
    assert len(await Thumbnails(store, small).of("incarnation", list(images))) == 1000
    assert max(store.asked) == IMAGES_AT_ONCE
