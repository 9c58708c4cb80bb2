"""Images that every precision of a backbone is held to, twenty of them with known labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core.artifact import golden_images
from exemplar_training.errors import ExportError
from exemplar_training.photos import check_photos, decode_all, labelled_photos

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from exemplar_training.backbones import Backbone
    from exemplar_training.embedder import Embedder
    from exemplar_training.photos import LabelledPhoto, PhotoCheck

_PHOTOS_SKIPPED = "skipped: foolbox is not installed"
_PHOTOS_FOREIGN = "skipped: the backbone has no classifier of ImageNet's classes"


@dataclass(frozen=True)
class Probes:
    """Images that PyTorch and ONNX must agree on: the labelled photos, then the golden images."""

    photos: list[LabelledPhoto]
    images_NHWC: NDArray[np.uint8]

    @property
    def photos_count(self) -> int:
        return len(self.photos)

    @property
    def told(self) -> str:
        golden_count = len(self.images_NHWC) - self.photos_count
        return f"{self.photos_count} photos and {golden_count} golden images"


def probes_of(input_size: int) -> Probes:
    photos = labelled_photos()
    images = [decode_all(photos, input_size), golden_images(input_size)]
    return Probes(photos, np.concatenate(images))


def judge_photos(backbone: Backbone, embedder: Embedder, probes: Probes) -> PhotoCheck | None:
    """None where the photos are not installed, or the network does not know their classes.

    Raises:
        ExportError: too few are classified right: wrong weights or wrong preprocessing.
    """
    if not probes.photos or backbone.classifier is None:
        return None
    images_NHWC = probes.images_NHWC[: probes.photos_count]
    check = check_photos(backbone, embedder, images_NHWC, probes.photos)
    if check.top_1 < backbone.spec.photos_right:
        raise ExportError(
            f"photos: expected at least {backbone.spec.photos_right} of {check.photos} classified "
            f"right, got {check.top_1}: the weights and the preprocessing do not belong together"
        )
    return check


def photos_told(check: PhotoCheck | None, backbone: Backbone) -> str:
    if check is None:
        return f"WARNING: {skipped(backbone)}: weights and preprocessing are unchecked"
    return f"{check.top_1} of {check.photos} right, {check.top_5} among the first five"


def skipped(backbone: Backbone) -> str:
    return _PHOTOS_FOREIGN if backbone.classifier is None else _PHOTOS_SKIPPED
