"""Emoji that six houses drew, from Iconify's packages: one class a name, one source a house.

The six have no flag and no skin tone in common.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exemplar_training.data.archive import read_members
from exemplar_training.data.emoji import SIDE, rendered
from exemplar_training.data.layout import SetImage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    Properties = Mapping[str, str | int | float | bool]

_FILE = "package/icons.json"  # https://iconify.design/docs/types/iconify-json.html
_VIEW_BOX = ("left", "top", "width", "height")
_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    f'width="{SIDE}" height="{SIDE}" viewBox="{{view_box}}">{{body}}</svg>'
)


def emoji6(archives: Sequence[Path]) -> Iterator[SetImage]:
    """Every name that all houses drew, each as a picture of its own; 72 x 72, on white.

    A name that shares its picture with another common name is left out: one house's `cricket` is
    the insect, another's the game.
    """
    houses = [_house(archive) for archive in archives]
    common = set.intersection(*(set(house.parents) for house in houses))
    shared = set().union(*(house.sharing(common) for house in houses))
    for house in houses:
        for name in sorted(common - shared):
            content = rendered(house.svg(name).encode())
            yield SetImage(house.name, name, f"{name}.png", content)


@dataclass(frozen=True)
class _House:
    """`parents` leads from every name, aliases too, to the one in `icons` that has the drawing.

    `view_box` is what icons go by that do not state their own.
    """

    name: str
    icons: Mapping[str, Properties]
    parents: Mapping[str, str]
    view_box: Properties

    def sharing(self, names: set[str]) -> set[str]:
        """Those of `names` that have their drawing in common with another of them."""
        uses = Counter(self.parents[name] for name in names)
        return {name for name in names if uses[self.parents[name]] > 1}

    def svg(self, name: str) -> str:
        """A square: a drawing that is none is centered."""
        icon = self.icons[self.parents[name]]
        view_box = " ".join(str(icon.get(key, self.view_box[key])) for key in _VIEW_BOX)
        return _SVG.format(view_box=view_box, body=icon["body"])


def _house(archive: Path) -> _House:
    found = json.loads(read_members(archive, lambda name: name == _FILE)[_FILE])
    icons, aliases = found["icons"], _plain_aliases(found.get("aliases", {}))
    ends = {name: _end(name, aliases) for name in (*icons, *aliases)}
    parents = {name: end for name, end in ends.items() if end in icons}
    view_box = {"left": 0, "top": 0} | {key: found[key] for key in _VIEW_BOX if key in found}
    return _House(found["prefix"], icons, parents, view_box)


def _plain_aliases(aliases: Mapping[str, Properties]) -> dict[str, str]:
    """Each to what it is another name of; without those that mirror or turn a drawing."""
    return {
        name: str(alias["parent"]) for name, alias in aliases.items() if alias.keys() == {"parent"}
    }


def _end(name: str, aliases: Mapping[str, str]) -> str:
    while name in aliases:
        name = aliases[name]
    return name
