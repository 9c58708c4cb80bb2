"""Decoding: what cannot or may not be decoded is a domain error, and nothing else is raised."""

import struct
import warnings
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from exemplar_server.backends.images import ImageLimits, decode, thumbnail
from exemplar_server.errors import InvalidInputError, LimitExceededError, UndecodableImageError
from pictures import LIMITS, SIZE, encoded, halves, pixels


def png_header(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", zlib.crc32(b"IHDR" + header))


def png_claiming(width, height):
    data = zlib.compress(b"\x00" * 64)
    chunk = struct.pack(">I", len(data)) + b"IDAT" + data
    return png_header(width, height) + chunk + struct.pack(">I", zlib.crc32(b"IDAT" + data))


@pytest.mark.parametrize("image_format", ["GIF", "BMP", "TIFF", "PPM", "ICO"])
def test_other_formats_are_refused(image_format):
    with pytest.raises(UndecodableImageError, match="expected a JPEG, PNG or WebP image, got"):
        pixels(encoded(halves(), image_format))


def test_zero_bytes_are_refused():
    with pytest.raises(UndecodableImageError, match="got 0 bytes"):
        pixels(b"")


def test_what_is_no_image_is_refused_and_shown():
    with pytest.raises(UndecodableImageError, match="12 bytes that start b'hello wo'"):
        pixels(b"hello world!")


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_images_are_refused(image_format, share):
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), image_format)
    with pytest.raises(UndecodableImageError):
        pixels(data[: int(len(data) * share)])


@pytest.mark.parametrize(("width", "height"), [(0, 0), (0, 8), (8, 0)])
def test_a_png_without_pixels_is_refused(width, height):
    with pytest.raises(UndecodableImageError):
        pixels(png_claiming(width, height))


@pytest.mark.parametrize("side", [10_000, 50_000])  # below and above Pillow's own cap
def test_a_decompression_bomb_is_refused_by_its_header_with_both_numbers(side):
    with pytest.raises(LimitExceededError, match=f"at most 25000000 pixels, got .*{side**2}"):
        pixels(png_claiming(side, side))


def test_the_byte_limit_comes_first():
    data = b"not even an image"
    with pytest.raises(LimitExceededError, match="expected at most 16 bytes, got 17"):
        pixels(data, limits=ImageLimits(image_bytes=16, image_pixels=1))


def test_limits_are_inclusive():
    data = encoded(halves())
    assert pixels(data, limits=ImageLimits(len(data), 64 * 64)).shape == (SIZE, SIZE, 3)
    with pytest.raises(LimitExceededError, match="at most 4095 pixels, got 64 x 64 = 4096"):
        pixels(data, limits=ImageLimits(len(data), 64 * 64 - 1))


def test_warnings_of_pillow_stay_inside_and_those_of_others_do_not():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(LimitExceededError):
            pixels(png_claiming(10_000, 10_000))
        warnings.warn("from elsewhere", UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in seen] == ["from elsewhere"]


# Laws


@settings(max_examples=60, deadline=None)
@given(
    mode=st.sampled_from(["RGB", "RGBA", "L", "LA", "P", "1"]),
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    size=st.integers(1, 48),
    image_format=st.sampled_from(["PNG", "WEBP", "JPEG"]),
)
def test_any_image_gives_the_size_asked_for(mode, width, height, size, image_format):
    image = Image.new(mode, (width, height), 1 if mode in "LP1" else None)
    image = image.convert("RGB") if image_format == "JPEG" else image
    assert decode(encoded(image, image_format), size, LIMITS).shape == (size, size, 3)


def attempt(data):
    """Decodes or raises InvalidInputError; whatever else is raised fails the test."""
    with suppress(InvalidInputError):
        pixels(data)
    with suppress(InvalidInputError):
        thumbnail(data, LIMITS)


@settings(max_examples=100, deadline=None)
@given(
    data=st.binary(max_size=200),
    start=st.sampled_from(
        [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\x40\x00\x00\x00WEBPVP8 "]
    ),
)
def test_random_bytes_only_ever_raise_invalid_input(data, start):
    attempt(start + data)


SEEDS = [
    encoded(
        halves(),
        "JPEG",
        exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00",
    ),
    encoded(halves(mode="CMYK"), "JPEG", progressive=True),
    encoded(halves(mode="RGBA")),
    encoded(halves().quantize(4), transparency=0),
    encoded(halves(), "WEBP"),
]


@settings(max_examples=200, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_mutated_images_only_ever_raise_invalid_input(seed, changes):
    data = bytearray(seed)
    for at, value in changes:
        data[at % len(data)] = value
    attempt(bytes(data))
