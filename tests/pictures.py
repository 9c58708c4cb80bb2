"""Pictures for tests, made by formula."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def png(seed: int, size: int = 32) -> bytes:
    """A picture unlike those of other seeds: 8 x 8 random blocks."""
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return encode(Image.fromarray(blocks).resize((size, size), Image.Resampling.NEAREST))


def encode(image: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()
