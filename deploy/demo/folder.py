"""Your own images: one folder a label, some of each teach and the others ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from console import DemoError
from split import LabelledImage, Split

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
LEAST_LABELS = 2
LEAST_IMAGES = 2


def split_folder(root: Path, n_shot: int, seed: int) -> Split:
    """Of each label `n_shot` images teach, but at most half; the others ask.

    Raises:
        DemoError: there are fewer than two labels, or a label has fewer than two images.
    """
    if not root.is_dir():
        raise DemoError(f"--images: expected a folder of folders of images, got {root}")
    folders = sorted(f for f in root.iterdir() if f.is_dir() and not f.name.startswith("."))
    if len(folders) < LEAST_LABELS:
        raise DemoError(
            f"--images: expected {LEAST_LABELS} or more folders in {root}, one a label, "
            f"got {len(folders)}"
        )
    taught: list[LabelledImage] = []
    asked: list[LabelledImage] = []
    generator = np.random.default_rng(seed)
    for folder in folders:
        images = _images(folder)
        order = generator.permutation(len(images))
        teaching = min(n_shot, len(images) // 2)
        taught += [images[i] for i in order[:teaching]]
        asked += [images[i] for i in order[teaching:]]
    return Split(tuple(taught), tuple(asked))


def _images(folder: Path) -> list[LabelledImage]:
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES)
    if len(files) < LEAST_IMAGES:
        raise DemoError(
            f"--images: expected {LEAST_IMAGES} or more images "
            f"({', '.join(sorted(SUFFIXES))}) in {folder}, got {len(files)}"
        )
    return [LabelledImage(folder.name, file.read_bytes(), str(file)) for file in files]
