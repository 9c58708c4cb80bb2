"""How a label looks, on the page and in the picture: a color and a shape.

Shapes are named as matplotlib names them. 7 and 20 have no common factor: 140 labels differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from colorsys import hls_to_rgb, rgb_to_hls

SHAPES = "os^DvPX"

# Ordered so that labels of one shape also differ by at least 34 CIELAB units for readers who see no
# red or no green: tests/bench/label_colors.py.
LIGHT = (
    *("#2f6fde", "#e8590c", "#2b9a3e", "#0c96a5", "#d99a00", "#0b6b4b", "#a61e1e"),
    *("#f08c5a", "#c2255c", "#8a4fd8", "#74a816", "#a58bf5", "#5f2d91", "#34b8cc"),
    *("#5c6b7a", "#1c3f94", "#e8609c", "#7c4a2d", "#f06565", "#7d7f1e"),
)
# The same hues on a dark ground.
DARK = (
    *("#5f9bff", "#ff8742", "#4fc765", "#2cc4d3", "#f5c13d", "#3fae86", "#e05252"),
    *("#ffb48f", "#ff5f96", "#b184ff", "#a8dc4a", "#d2c2ff", "#c77dff", "#7fe3f2"),
    *("#a3b1c0", "#8fb0ff", "#ff9ac8", "#c08c66", "#ff9c9c", "#c2c45a"),
)
NO_LABEL = "#8a8f98"


def colors(labels: Sequence[str], palette: Sequence[str] = LIGHT) -> list[str]:
    """One a label, in order; gray for the label of things that have none."""
    return [_color(palette, place) if label else NO_LABEL for place, label in enumerate(labels)]


def shapes(labels: Sequence[str]) -> list[str]:
    return [SHAPES[place % len(SHAPES)] for place in range(len(labels))]


def _color(palette: Sequence[str], place: int) -> str:
    """After 140 labels the hue turns a little."""
    turns = place // (len(SHAPES) * len(palette))
    base = palette[place % len(palette)]
    red, green, blue = (int(base[at : at + 2], 16) / 255 for at in (1, 3, 5))
    hue, lightness, saturation = rgb_to_hls(red, green, blue)
    turned = hls_to_rgb((hue + turns * 0.025) % 1, lightness, saturation)
    return "#" + "".join(f"{round(part * 255):02x}" for part in turned)
