"""Emoji that two houses drew: one class a code point sequence, one source a house."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from exemplar_training.data.archive import read_members
from exemplar_training.data.layout import SetImage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SIDE = 72
_HOUSES = ("twemoji", "openmoji")  # in the order of their archives
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_REGIONAL_INDICATORS = range(0x1F1E6, 0x1F200)  # two of them are a country's flag
_TAGS = range(0xE0020, 0xE0080)  # the flags of England, Scotland and Wales
_LEFT_OUT = frozenset((*_SKIN_TONES, *_REGIONAL_INDICATORS, *_TAGS))


def emoji(archives: Sequence[Path]) -> Iterator[SetImage]:
    """Every emoji that both houses drew, less skin tones and flags; 72 x 72, on white."""
    drawings = [_drawings(archive) for archive in archives]
    common = sorted(set.intersection(*(set(by_code) for by_code in drawings)))
    for house, by_code in zip(_HOUSES, drawings, strict=True):
        for code in common:
            yield SetImage(house, code, f"{code}.png", rendered(by_code[code]))


def is_left_out(code: str) -> bool:
    """Whether code points, such as 1F468-200D-1F680, are a flag or have a skin tone."""
    return not _LEFT_OUT.isdisjoint(int(point, 16) for point in code.split("-"))


def _drawings(archive: Path) -> dict[str, bytes]:
    """Code points, such as 1F468-200D-1F680, to SVG."""
    members = read_members(archive, _is_drawing)
    return {PurePosixPath(name).stem.upper(): svg for name, svg in members.items()}


def _is_drawing(name: str) -> bool:
    path = PurePosixPath(name)
    if path.suffix != ".svg" or path.parent.name != "svg":
        return False
    return not is_left_out(path.stem)


def rendered(svg: bytes) -> bytes:
    """A PNG, at most SIDE x SIDE pixels."""
    import resvg_py  # noqa: PLC0415 - only this set needs it

    png: bytes = resvg_py.svg_to_bytes(
        svg_string=svg.decode(),
        width=SIDE,
        height=SIDE,
        background="#ffffff",
        skip_system_fonts=True,  # no drawing has text, and looking for fonts is slow
    )
    return png
