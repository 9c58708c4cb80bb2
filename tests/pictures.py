"""Pictures for tests, made in memory."""

import io

import numpy as np
from PIL import Image

from exemplar_server.backends.images import ImageLimits, decode

LIMITS = ImageLimits()
SIZE = 32
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image, image_format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def png(seed, size=SIZE):
    """A picture unlike those of other seeds: 8 x 8 random blocks."""
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return encoded(Image.fromarray(blocks).resize((size, size), Image.Resampling.NEAREST))


def halves(left=RED, right=BLUE, mode="RGB", size=(64, 64)):
    """Left half one color, right half another."""
    image = Image.new("RGB", size, right)
    image.paste(left, (0, 0, size[0] // 2, size[1]))
    return image.convert(mode)


def pixels(data, size=SIZE, limits=LIMITS):
    return decode(data, size, limits)


def is_close(pixel, color, tolerance=6):
    return np.abs(pixel.astype(int) - np.array(color)).max() <= tolerance


def assert_halves(image_HWC, left, right, tolerance=6):
    assert image_HWC.shape == (SIZE, SIZE, 3)
    assert image_HWC.dtype == np.uint8
    assert is_close(image_HWC[SIZE // 2, 3], left, tolerance)
    assert is_close(image_HWC[SIZE // 2, -4], right, tolerance)
