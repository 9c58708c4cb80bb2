"""Bytes to pixels: decode, orient, crop and resize. The only file that imports PIL.

Serving and training both decode here, so that offline numbers come from the code that serves.
ICC profiles are not applied. Shapes: H height, W width, S input size.
"""

from __future__ import annotations

import io
import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from exemplar_server.core.limits import Limits
from exemplar_server.errors import ExemplarError, LimitExceededError, UndecodableImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

FORMATS = ("JPEG", "PNG", "WEBP")
THUMBNAIL_SIDE = 64
THUMBNAIL_QUALITY = 85

_ORIENTATION_TAG = 0x0112
# EXIF 2.32, 4.6.4: how to undo each orientation. 1 is upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PILLOW = re.compile(r"PIL\.")


@dataclass(frozen=True)
class ImageLimits:
    """The largest image that is decoded; both are maxima. The defaults are the server's."""

    image_bytes: int = Limits.image_bytes
    image_pixels: int = Limits.image_pixels


def preprocessing_id(input_size: int) -> str:
    """The name of what `decode` does; it changes whenever the pixels do.

    Pillow, EXIF orientation, white behind alpha, bilinear with antialias, the shorter side to
    `input_size`, center crop.
    """
    return f"pillow-exif-white-bilinear-shorter-center-{input_size}-v1"


def decode(data: bytes, input_size: int, limits: ImageLimits) -> NDArray[np.uint8]:
    """The center square of a JPEG, PNG or WebP as RGB, (S, S, 3); the first frame of animations.

    Raises:
        UndecodableImageError: not one of these formats, empty or broken.
        LimitExceededError: more bytes or pixels than `limits`.
    """
    image = _open(data, limits)
    with _pillow_errors():
        return np.array(_square(image, input_size))


def thumbnail(data: bytes, limits: ImageLimits) -> bytes:
    """The whole image as a JPEG of at most 64 x 64 pixels; raises as `decode` does."""
    image = _open(data, limits)
    with _pillow_errors():
        small = _scaled_down(image, THUMBNAIL_SIDE)
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=THUMBNAIL_QUALITY)
        return buffer.getvalue()


def _open(data: bytes, limits: ImageLimits) -> Image.Image:
    """The image, within the limits, with only its header read."""
    if not data:
        raise UndecodableImageError("expected a JPEG, PNG or WebP image, got 0 bytes")
    if len(data) > limits.image_bytes:
        message = f"expected at most {limits.image_bytes} bytes, got {len(data)}"
        raise LimitExceededError(message)
    image = _read_header(data, limits)
    if image.width * image.height > limits.image_pixels:
        size = f"{image.width} x {image.height} = {image.width * image.height}"
        raise LimitExceededError(f"expected at most {limits.image_pixels} pixels, got {size}")
    return image


def _read_header(data: bytes, limits: ImageLimits) -> Image.Image:
    with _pillow_errors():
        try:
            return Image.open(io.BytesIO(data), formats=FORMATS)
        except Image.DecompressionBombError as error:
            # Pillow's own cap, 2 x 89 megapixels, comes before the caller can see the size.
            found = re.search(r"\d+", str(error))
            got = found.group() if found else "far more"
            message = f"expected at most {limits.image_pixels} pixels, got {got}"
            raise LimitExceededError(message) from error
        except UnidentifiedImageError as error:
            message = f"got {len(data)} bytes that start {data[:8]!r}"
            raise UndecodableImageError(f"expected a JPEG, PNG or WebP image, {message}") from error


@contextmanager
def _pillow_errors() -> Iterator[None]:
    """What Pillow raises on broken files becomes UndecodableImageError; its warnings are silent."""
    _silence_pillow()
    try:
        yield
    except (ExemplarError, MemoryError):
        raise
    except Exception as error:  # Pillow's plugins raise no bounded set of exceptions
        message = f"expected a whole JPEG, PNG or WebP image, got a broken one: {error}"
        raise UndecodableImageError(message) from error


def _silence_pillow() -> None:
    """Ignores warnings that PIL's modules raise, which are about the caller's file, not our code.

    The filter stays: `warnings.catch_warnings` is not safe in threads, and decoding runs in them.
    """
    if not any(rule[0] == "ignore" and rule[3] == _PILLOW for rule in warnings.filters):
        warnings.filterwarnings("ignore", module=_PILLOW.pattern)


def _square(image: Image.Image, side: int) -> Image.Image:
    _draft(image, side)
    orientation = _orientation(image)
    plain = _to_rgb_or_rgba(image)
    shorter = min(plain.size)
    left, top = (plain.width - shorter) / 2, (plain.height - shorter) / 2
    # One pass over a fractional box is resize then crop, without the strip that the crop throws
    # away: an image of 1 x 25,000,000 pixels would otherwise become 224 x 5,600,000,000.
    box = (left, top, left + shorter, top + shorter)
    square = plain.resize((side, side), Image.Resampling.BILINEAR, box=box)
    return _upright(_on_white(square), orientation)


def _scaled_down(image: Image.Image, longest: int) -> Image.Image:
    _draft(image, longest)
    orientation = _orientation(image)
    plain = _to_rgb_or_rgba(image)
    scale = min(1.0, longest / max(plain.size))
    size = (max(1, round(plain.width * scale)), max(1, round(plain.height * scale)))
    return _upright(_on_white(plain.resize(size, Image.Resampling.BILINEAR)), orientation)


def _draft(image: Image.Image, side: int) -> None:
    """Lets libjpeg decode at 1/2, 1/4 or 1/8, never below twice the size that is asked for."""
    if image.format in {"JPEG", "MPO"}:
        image.draft(None, (2 * side, 2 * side))


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where the EXIF data is missing or broken, as browsers do."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001 - broken metadata is no reason to refuse the picture
        return 1
    return value if value in _UPRIGHT else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _to_rgb_or_rgba(image: Image.Image) -> Image.Image:
    image.load()
    if image.mode.startswith("I"):
        return _from_16_bits(image)
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Gray of 16 bits by its high byte, as Pillow itself reduces 16-bit color."""
    gray_HW = np.clip(np.asarray(image), 0, 2**16 - 1)
    byte_HW = (gray_HW >> 8).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        byte_HW[gray_HW == transparent] = 255
    return Image.fromarray(byte_HW).convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")
