"""Textile inspection: woven cloth, nominal or with a local or a global defect.

The stochastic textured surface of Megahed et al., arXiv 2501.12596; JPEG 250 x 250.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from exemplar_training.data.archive import read_members
from exemplar_training.data.layout import SetImage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def textile(archives: Sequence[Path]) -> Iterator[SetImage]:
    """1,000 nominal, 500 local, 500 global; the files as they are, in one part."""
    members = read_members(archives[0], lambda name: "/textile_images/" in name)
    for name, content in members.items():
        path = PurePosixPath(name)
        if path.suffix == ".jpg":
            yield SetImage("all", path.parent.name, path.name, content)
