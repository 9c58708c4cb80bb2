"""A tiny real task for training: colored squares, some of them hollow, on noise."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from exemplar_training.data.image_set import ImageSet

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("red", "green", "blue", "hollow red", "hollow green", "hollow blue")


def squares(count: int, seed: int = 0) -> ImageSet:
    """`count` PNG files, the six classes in turn."""
    random = np.random.default_rng(seed)
    class_ids = np.arange(count) % len(NAMES)
    files = [_file(int(class_id), random) for class_id in class_ids]
    return ImageSet("squares", files, class_ids.astype(np.int64), NAMES)


def write_folder(images: ImageSet, root: Path) -> Path:
    """The images as root/CLASS/NUMBER.png; returns `root`."""
    for row, class_id in enumerate(images.class_ids_N):
        folder = root / images.class_names[int(class_id)]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{row:03}.png").write_bytes(images.files[row])
    return root


def _file(class_id: int, random: np.random.Generator) -> bytes:
    pixels = random.integers(0, 80, (40, 40, 3)).astype(np.uint8)
    top, left = random.integers(0, 20, 2)
    pixels[top : top + 16, left : left + 16, class_id % 3] = 255
    if class_id >= 3:  # the second half
        pixels[top + 4 : top + 12, left + 4 : left + 12] = 0
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
