"""Decoding: every allowed format gives the right picture."""

import io

import numpy as np
import pytest
from PIL import Image

from exemplar_server.backends.images import preprocessing_id, thumbnail
from exemplar_server.errors import UndecodableImageError
from pictures import (
    BLUE,
    GREEN,
    LIMITS,
    RED,
    SIZE,
    WHITE,
    assert_halves,
    encoded,
    halves,
    is_close,
    pixels,
)


@pytest.mark.parametrize(
    ("image_format", "options"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 95}),
    ],
)
def test_each_allowed_format_keeps_its_colors(image_format, options):
    assert_halves(pixels(encoded(halves(), image_format, **options)), RED, BLUE, tolerance=12)


def test_a_palette_image_shows_its_colors():
    assert_halves(pixels(encoded(halves().quantize(2))), RED, BLUE)


def test_a_palette_entry_that_is_transparent_shows_white():
    image = halves().quantize(2)
    data = encoded(image, transparency=image.getpixel((0, 0)))
    assert_halves(pixels(data), WHITE, BLUE)


@pytest.mark.parametrize("mode", ["L", "1"])
def test_gray_and_1_bit_images_become_rgb(mode):
    image = halves((0, 0, 0), WHITE, mode)
    assert_halves(pixels(encoded(image)), (0, 0, 0), WHITE)


def test_16_bit_gray_is_scaled_not_clipped():
    gray = np.zeros((64, 64), np.uint16)
    gray[:, :32], gray[:, 32:] = 0x4000, 0xC000
    assert_halves(pixels(encoded(Image.fromarray(gray))), (0x40,) * 3, (0xC0,) * 3)


def test_alpha_is_composited_on_white():
    half_red = Image.new("RGBA", (64, 64), (255, 0, 0, 128))
    half_red.paste((0, 0, 0, 0), (32, 0, 64, 64))
    assert_halves(pixels(encoded(half_red)), (255, 127, 127), WHITE)


def test_gray_with_alpha_is_composited_on_white():
    image = Image.new("LA", (64, 64), (0, 255))
    image.paste((0, 0), (32, 0, 64, 64))
    assert_halves(pixels(encoded(image)), (0, 0, 0), WHITE)


def test_a_transparent_color_of_an_rgb_png_shows_white():
    assert_halves(pixels(encoded(halves(), transparency=BLUE)), RED, WHITE)


def test_a_cmyk_jpeg_keeps_its_colors():
    data = encoded(halves(mode="CMYK"), "JPEG", quality=95)
    assert_halves(pixels(data), RED, BLUE, tolerance=12)


# Where the red left half of the stored image lies once the image is upright.
RED_SIDE = {
    1: "left",
    2: "right",
    3: "right",
    4: "left",
    5: "top",
    6: "top",
    7: "bottom",
    8: "bottom",
}
AT = {"left": (16, 3), "right": (16, -4), "top": (3, 16), "bottom": (-4, 16)}


@pytest.mark.parametrize(("orientation", "side"), RED_SIDE.items())
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_applied(image_format, orientation, side):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image_HWC = pixels(encoded(halves(), image_format, exif=exif))
    red = [name for name, at in AT.items() if is_close(image_HWC[at], RED, 12)]
    assert red == [side]


def test_exif_orientation_tells_mirrored_from_turned():
    image = Image.new("RGB", (64, 64), BLUE)
    image.paste(RED, (0, 0, 32, 32))
    corners = {
        "top left": (3, 3),
        "top right": (3, -4),
        "bottom left": (-4, 3),
        "bottom right": (-4, -4),
    }
    expected = dict(
        enumerate(["top left", "top right", "bottom right", "bottom left"] * 2, start=1)
    )
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        image_HWC = pixels(encoded(image, exif=exif))
        (red,) = [name for name, at in corners.items() if is_close(image_HWC[at], RED)]
        assert red == expected[orientation]


def test_broken_exif_data_is_no_reason_to_refuse_the_picture():
    data = encoded(halves(), "JPEG", quality=95, exif=b"Exif\x00\x00II*\x00\xff\xff\xff\x00")
    assert_halves(pixels(data), RED, BLUE, tolerance=12)


@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
def test_an_animation_gives_its_first_frame(image_format):
    frames = [halves(GREEN, GREEN), halves(BLUE, BLUE)]
    data = encoded(halves(), image_format, save_all=True, append_images=frames, lossless=True)
    assert_halves(pixels(data), RED, BLUE)


def test_the_crop_is_the_center_square():
    wide = Image.new("RGB", (192, 64), GREEN)
    wide.paste(halves(), (64, 0))
    image_HWC = pixels(encoded(wide))
    assert_halves(image_HWC, RED, BLUE)
    assert is_close(image_HWC[16, 1], RED)
    assert is_close(image_HWC[16, -2], BLUE)


def test_crop_then_resize_equals_resize_then_crop():
    rng = np.random.default_rng(7)
    image = Image.fromarray(rng.integers(0, 256, (96, 192, 3), np.uint8))
    resized = image.resize((2 * SIZE, SIZE), Image.Resampling.BILINEAR)
    expected_HWC = np.asarray(resized.crop((SIZE // 2, 0, SIZE // 2 + SIZE, SIZE)))
    difference = pixels(encoded(image)).astype(int) - expected_HWC
    assert np.abs(difference).max() <= 1


def test_shrinking_is_antialiased():
    checks = np.indices((256, 256)).sum(axis=0) % 2 * 255
    image_HWC = pixels(encoded(Image.fromarray(checks.astype(np.uint8))))
    assert np.abs(image_HWC.astype(int) - 127).max() <= 2


def test_a_jpeg_decoded_at_reduced_size_looks_as_the_png_does():
    gradient = np.indices((1024, 1024)).sum(axis=0) // 8
    image = Image.fromarray(gradient.astype(np.uint8)).convert("RGB")
    reduced = pixels(encoded(image, "JPEG", quality=95)).astype(int)
    assert np.abs(reduced - pixels(encoded(image))).max() <= 3


def test_a_jpeg_is_never_decoded_smaller_than_it_is_needed():
    blocks = np.random.default_rng(5).integers(0, 256, (32, 32), np.uint8).repeat(4, 0).repeat(4, 1)
    image = Image.fromarray(blocks).convert("RGB")
    reduced = pixels(encoded(image, "JPEG", quality=95)).astype(int)
    assert np.abs(reduced - pixels(encoded(image))).mean() <= 10


def test_a_line_of_pixels_does_not_explode():
    assert pixels(encoded(Image.new("RGB", (100_000, 1), RED))).shape == (SIZE, SIZE, 3)


def test_the_preprocessing_names_its_input_size():
    assert preprocessing_id(224) != preprocessing_id(240)


# Thumbnails


def test_a_thumbnail_is_a_small_whole_jpeg():
    small = Image.open(io.BytesIO(thumbnail(encoded(halves(size=(400, 200))), LIMITS)))
    assert (small.format, small.size) == ("JPEG", (64, 32))
    assert is_close(np.asarray(small)[16, 3], RED, 12)
    assert is_close(np.asarray(small)[16, -4], BLUE, 12)


def test_a_thumbnail_never_enlarges():
    small = Image.open(io.BytesIO(thumbnail(encoded(halves(size=(10, 4))), LIMITS)))
    assert small.size == (10, 4)


def test_a_thumbnail_is_upright_and_on_white():
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new("RGBA", (128, 64), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 64, 64))
    small = Image.open(io.BytesIO(thumbnail(encoded(image, exif=exif), LIMITS)))
    assert small.size == (32, 64)
    assert is_close(np.asarray(small)[8, 16], RED, 12)
    assert is_close(np.asarray(small)[-8, 16], WHITE, 12)


def test_a_thumbnail_of_a_line_keeps_a_pixel():
    assert Image.open(io.BytesIO(thumbnail(encoded(Image.new("L", (5000, 1))), LIMITS))).size == (
        64,
        1,
    )


def test_a_thumbnail_refuses_what_decode_refuses():
    with pytest.raises(UndecodableImageError):
        thumbnail(b"hello", LIMITS)
