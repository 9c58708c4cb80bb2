"""How far apart the colors of labels of one shape are, for readers with and without red and green.

.venv/bin/python tests/bench/label_colors.py
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from exemplar.map_marks import DARK, LIGHT, SHAPES

# Machado, Oliveira and Fernandes 2009, severity 1, for linear RGB.
SIGHTS = {
    "no deficiency": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}
XYZ = np.array(  # of linear sRGB, over white
    [[0.43395, 0.37622, 0.18983], [0.21267, 0.71515, 0.07218], [0.01776, 0.10947, 0.87286]]
)


def lab(palette, sight):
    rgb = np.array([[int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)] for color in palette])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ np.array(sight).T, 0, 1) @ XYZ.T
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = f.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def main():
    pairs = [(a, b) for a, b in combinations(range(20), 2) if (b - a) % len(SHAPES) == 0]
    print(f"| least distance, CIELAB | {' | '.join(SIGHTS)} |\n|{'---|' * (len(SIGHTS) + 1)}")
    for name, palette in (("light", LIGHT), ("dark", DARK)):
        seen = [lab(palette, sight) for sight in SIGHTS.values()]
        least = [min(np.linalg.norm(it[a] - it[b]) for a, b in pairs) for it in seen]
        print(f"| {name} | {' | '.join(f'{distance:.0f}' for distance in least)} |")


if __name__ == "__main__":
    main()
