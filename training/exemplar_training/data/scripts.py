"""Letters of twenty scripts: fourteen to learn from, six that no training saw.

One class a letter, one source a family: sans and serif, each regular and bold. Support and query
come from different families. Each image has its letter at an angle, size and place of its own.

Which scripts are unseen was fixed before anything was measured. The package has 20 scripts with
both families in both weights. Latin, Greek and Cyrillic share letters with each other, so none of
them is unseen. Of the other 17 in Unicode's order it is the second of each three.
The letters are those of the block with the script's name, whole ones that stand alone: Unicode
categories Lu, Ll, Lo without a decomposition. Of Greek and Cyrillic they are those in daily use.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from exemplar_training.data.archive import read_members
from exemplar_training.data.glyphs import SIDE, WHITE, as_png, drawn, fitting
from exemplar_training.data.layout import SetImage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_FOLDER = "./usr/share/fonts/truetype/noto/"
_FAMILIES = ("Sans", "Serif")
_WEIGHTS = ("Regular", "Bold")
_IN_ONE_FONT = ("Latin", "Greek", "Cyrillic")
# How an image differs from a type specimen. Upright and centered, the two families lie so well over
# each other that raw pixels alone find 8 of 10 letters.
_TURN_DEGREES, _SLANT, _MOVED = 5, 0.1, 4  # either way; a slant of 1 is 45 degrees; pixels
_SIZE, _SIZE_EITHER_WAY = 0.85, 0.1  # of what fits


@dataclass(frozen=True)
class Script:
    """`characters` are all in its four fonts."""

    name: str
    characters: str

    def file(self, family: str, weight: str) -> str:
        """The font's name in the package."""
        own = "" if self.name in _IN_ONE_FONT else self.name
        return f"{_FOLDER}Noto{family}{own}-{weight}.ttf"


def _scripts(table: str) -> tuple[Script, ...]:
    """A script a line: its name, then code points or ranges of them."""
    rows = [line.split() for line in table.splitlines()]
    return tuple(Script(name, "".join(map(_range, ranges))) for name, *ranges in rows)


def _range(told: str) -> str:
    first, _, last = told.partition("-")
    return "".join(map(chr, range(int(first, 16), int(last or first, 16) + 1)))


SEEN = _scripts("""\
Latin 0041-005A 0061-007A
Greek 0391-03A1 03A3-03A9 03B1-03C9
Cyrillic 0402 0404-0406 0408-040B 040F-0418 041A-0438 043A-044F 0452 0454-0456 0458-045B 045F
Armenian 0531-0556 0560-0586 0588
Devanagari 0904-0928 092A-0930 0932-0933 0935-0939 093D 0950 0960-0961 0972-097F
Bengali 0980 0985-098C 098F-0990 0993-09A8 09AA-09B0 09B2 09B6-09B9 09BD 09CE 09E0-09E1 09F0-09F1 09FC
Gujarati 0A85-0A8D 0A8F-0A91 0A93-0AA8 0AAA-0AB0 0AB2-0AB3 0AB5-0AB9 0ABD 0AD0 0AE0-0AE1 0AF9
Tamil 0B83 0B85-0B8A 0B8E-0B90 0B92-0B93 0B95 0B99-0B9A 0B9C 0B9E-0B9F 0BA3-0BA4 0BA8-0BAA 0BAE-0BB9 0BD0
Kannada 0C80 0C85-0C8C 0C8E-0C90 0C92-0CA8 0CAA-0CB3 0CB5-0CB9 0CBD 0CDE 0CE0-0CE1 0CF1-0CF2
Malayalam 0D04-0D0C 0D0E-0D10 0D12-0D3A 0D3D 0D4E 0D54-0D56 0D5F-0D61 0D7A-0D7F
Thai 0E01-0E30 0E32 0E40-0E45
Lao 0E81-0E82 0E84 0E87-0E88 0E8A 0E8D 0E94-0E97 0E99-0E9F 0EA1-0EA3 0EA5 0EA7 0EAA-0EAB 0EAD-0EB0 0EB2 0EBD 0EC0-0EC4 0EDE-0EDF
Georgian 10A0-10C5 10C7 10CD 10D0-10FA 10FD-10FF
Ethiopic 1200-1248 124A-124D 1250-1256 1258 125A-125D 1260-1288 128A-128D 1290-12B0 12B2-12B5 12B8-12BE 12C0 12C2-12C5 12C8-12D6 12D8-1310 1312-1315 1318-135A
""")  # noqa: E501 - a script a line
UNSEEN = _scripts("""\
Hebrew 05D0-05EA 05F0-05F2
Gurmukhi 0A05-0A0A 0A0F-0A10 0A13-0A28 0A2A-0A30 0A32 0A35 0A38-0A39 0A5C 0A72-0A74
Telugu 0C05-0C0C 0C0E-0C10 0C12-0C28 0C2A-0C39 0C3D 0C58-0C5A 0C60-0C61
Sinhala 0D85-0D96 0D9A-0DB1 0DB3-0DBB 0DBD 0DC0-0DC6
Myanmar 1000-1025 1027-102A 103F 1050-1055 105A-105D 1061 1065-1066 106E-1070 1075-1081 108E
Khmer 1780-17A2 17A5-17B3 17DC
""")


def scripts(archives: Sequence[Path]) -> Iterator[SetImage]:
    """The letters of SEEN, 64 x 64 gray, black on white."""
    return _letters(archives, SEEN)


def unseen_scripts(archives: Sequence[Path]) -> Iterator[SetImage]:
    """The letters of UNSEEN, drawn as those of SEEN."""
    return _letters(archives, UNSEEN)


def image_count(of: tuple[Script, ...]) -> int:
    return sum(len(script.characters) for script in of) * len(_FAMILIES) * len(_WEIGHTS)


def _letters(archives: Sequence[Path], of: tuple[Script, ...]) -> Iterator[SetImage]:
    (archive,) = archives
    files = {
        each.file(family, weight) for each in of for family in _FAMILIES for weight in _WEIGHTS
    }
    fonts = read_members(archive, files.__contains__)
    for script, family, weight in itertools.product(of, _FAMILIES, _WEIGHTS):
        font = script.file(family, weight)
        for character in script.characters:
            name = f"{script.name}-{ord(character):04X}"
            upright = drawn(fitting(fonts[font], character, font), character)
            content = as_png(placed(upright, f"{font} {name}"))
            yield SetImage(family.lower(), name, f"{weight.lower()}.png", content)


def placed(letter: Image.Image, name: str) -> Image.Image:
    """The letter turned, slanted, smaller and moved, never over the edge; `name` decides how."""
    angle, slant, size, right, down = _numbers(name)
    angle *= math.radians(_TURN_DEGREES)
    scale = 1 / (_SIZE + _SIZE_EITHER_WAY * size)
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    # Where a point of the result comes from; the middle stays, but for the move.
    a, b = cosine, cosine * _SLANT * slant - sine
    d, e = sine, sine * _SLANT * slant + cosine
    x, y = (SIDE / 2 + _MOVED * each for each in (right, down))
    matrix = (a, b, SIDE / 2 - a * x - b * y, d, e, SIDE / 2 - d * x - e * y)
    return letter.transform(
        letter.size,
        Image.Transform.AFFINE,
        matrix,
        Image.Resampling.BICUBIC,
        fillcolor=WHITE,
    )


def _numbers(name: str) -> list[float]:
    """Numbers spread evenly over -1..1 that are the name's own, on every machine."""
    digest = hashlib.sha256(name.encode()).digest()
    return [2 * each / 255 - 1 for each in digest[:5]]
