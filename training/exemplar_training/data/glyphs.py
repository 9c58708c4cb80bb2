"""Letters and digits, drawn in many fonts: one class a character, one source a font.

Images of one font are alike whatever they show, so support and query come from different fonts.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image, ImageFont

from exemplar_training.data.archive import read_members
from exemplar_training.data.fonts import FONTS
from exemplar_training.data.layout import SetImage
from exemplar_training.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = "0123456789"
SIDE = 64
WHITE = 255
_INK_SIDE = 48  # of the font's largest character: an eighth of SIDE is left blank on each side
_MEASURED_AT = 200  # pixels an em, large enough that rounding does not matter
_NO_CHARACTER = "\uffff"  # Unicode guarantees it: a font draws its box for what it lacks


def letters(archives: Sequence[Path]) -> Iterator[SetImage]:
    """A-Z, 64 x 64 gray, black on white, in every font of the table."""
    return _glyphs(archives, LETTERS)


def digits(archives: Sequence[Path]) -> Iterator[SetImage]:
    """0-9, 64 x 64 gray, black on white, in every font of the table."""
    return _glyphs(archives, DIGITS)


def _glyphs(archives: Sequence[Path], characters: str) -> Iterator[SetImage]:
    for font, archive in zip(FONTS, archives, strict=True):
        file = next(iter(read_members(archive, _is_named(f"{font.file}.ttf")).values()))
        sized = fitting(file, characters, font.family)
        for character in characters:
            content = as_png(drawn(sized, character))
            yield SetImage(font.family, character, f"{character}.png", content)


def _is_named(file: str) -> Callable[[str], bool]:
    return lambda name: name.rpartition("/")[2] == file


def fitting(file: bytes, characters: str, family: str) -> ImageFont.FreeTypeFont:
    """The font in one size, at which its largest character fills _INK_SIDE."""
    font = ImageFont.truetype(io.BytesIO(file), _MEASURED_AT)
    lacking = (b"", bytes(font.getmask(_NO_CHARACTER)))
    missing = [it for it in characters if bytes(font.getmask(it)) in lacking]
    if missing:
        raise DataError(f"font {family}: expected {characters}, got none for {''.join(missing)}")
    largest = max(max(_ink(font, it).size) for it in characters)
    return ImageFont.truetype(io.BytesIO(file), round(_MEASURED_AT * _INK_SIDE / largest))


def _ink(font: ImageFont.FreeTypeFont, character: str) -> Image.Image:
    """How much of each pixel is covered, 0..255, without the margins that a font adds."""
    mask = font.getmask(character)
    image = Image.frombytes("L", mask.size, bytes(mask))
    return image.crop(image.getbbox())


def drawn(font: ImageFont.FreeTypeFont, character: str) -> Image.Image:
    """SIDE x SIDE gray, black on white, with the ink in the center."""
    ink = _ink(font, character)
    image = Image.new("L", (SIDE, SIDE), WHITE)
    image.paste(0, ((SIDE - ink.width) // 2, (SIDE - ink.height) // 2), ink)
    return image


def as_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
