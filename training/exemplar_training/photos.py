"""Twenty labelled ImageNet photos: do the weights and the preprocessing belong together?

They come with PyPI's foolbox, which is found but never imported (it needs eagerpy).
Shapes: N photos, C logits.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from exemplar_server.backends.images import ImageLimits, decode
from exemplar_training.errors import ExportError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from exemplar_training.backbones import Backbone
    from exemplar_training.embedder import Embedder

_LIMITS = ImageLimits()
_TOP = 5


@dataclass(frozen=True)
class LabelledPhoto:
    data: bytes
    class_id: int  # of ImageNet's 1000


@dataclass(frozen=True)
class PhotoCheck:
    """How many photos have the right class first, and among the first five."""

    top_1: int
    top_5: int
    photos: int


def labelled_photos() -> list[LabelledPhoto]:
    """The photos in the order of their names; empty where foolbox is not installed."""
    package = importlib.util.find_spec("foolbox")
    if package is None or package.origin is None:
        return []
    paths = sorted((Path(package.origin).parent / "data").glob("imagenet_*.jpg"))
    return [LabelledPhoto(path.read_bytes(), int(path.stem.rpartition("_")[2])) for path in paths]


def decode_all(photos: list[LabelledPhoto], input_size: int) -> NDArray[np.uint8]:
    """The photos as the server would see them, (N, H, W, 3)."""
    decoded = [decode(photo.data, input_size, _LIMITS) for photo in photos]
    return np.stack(decoded) if decoded else np.empty((0, input_size, input_size, 3), np.uint8)


def check_photos(
    backbone: Backbone,
    embedder: Embedder,
    images_NHWC: NDArray[np.uint8],
    photos: list[LabelledPhoto],
) -> PhotoCheck:
    """How many `photos` the backbone classifies right.

    Raises:
        ExportError: it has no classifier of ImageNet's classes.
    """
    if backbone.classifier is None:
        raise ExportError(f"photos: expected a classifier, {backbone.spec.name} has none")
    with torch.inference_mode():
        logits_NC = backbone.classifier(embedder.normalize(torch.from_numpy(images_NHWC)))
    best = logits_NC.topk(min(_TOP, logits_NC.shape[1])).indices.tolist()
    pairs = list(zip(best, photos, strict=True))
    top_1 = sum(photo.class_id == row[0] for row, photo in pairs)
    top_5 = sum(photo.class_id in row for row, photo in pairs)
    return PhotoCheck(top_1, top_5, len(photos))
