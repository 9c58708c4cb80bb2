"""Labelled images as encoded files: what the server's decoder reads, so what serving will see.

Shapes: N images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exemplar_training.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ImageSet:
    """N images in a fixed order.

    `files` yields encoded images (JPEG, PNG, WebP), maybe read from disk at each access.
    `class_ids_N` (int64) indexes `class_names`. `sources_N` (int64) says which font, drawing style
    or camera made an image, where that matters: images of one source are alike for a reason that
    is not their class. None: every image is a source of its own. `paths` say where the files lie.
    """

    name: str
    files: Sequence[bytes]
    class_ids_N: NDArray[np.int64]
    class_names: tuple[str, ...]
    sources_N: NDArray[np.int64] | None = None
    paths: Sequence[str] = ()  # none: not on disk

    def __post_init__(self) -> None:
        counts = {len(self.files), len(self.class_ids_N)}
        counts |= set() if self.sources_N is None else {len(self.sources_N)}
        if len(counts) != 1:
            raise ValueError(f"{self.name}: files, class_ids_N and sources_N differ in length")

    def __len__(self) -> int:
        return len(self.files)

    def of(self, rows: Sequence[int] | NDArray[np.int64]) -> ImageSet:
        """The images at `rows`, in that order; the classes keep their ids."""
        chosen = np.asarray(rows, np.int64)
        return ImageSet(
            self.name,
            _Rows(self.files, chosen),
            self.class_ids_N[chosen],
            self.class_names,
            None if self.sources_N is None else self.sources_N[chosen],
            [self.paths[row] for row in chosen] if self.paths else (),
        )

    def told(self, row: int) -> str:
        """The name of an image in a message: its path, or its place in the set."""
        return self.paths[row] if self.paths else f"{self.name}[{row}]"

    def ids_of(self, names: Sequence[str], setting: str) -> list[int]:
        """The ids of the classes of these names.

        Raises:
            ConfigError: there is no such class; `setting` is where it was asked for.
        """
        for name in names:
            if name not in self.class_names:
                raise ConfigError(f"{setting}: expected classes of {self.name}, got {name!r}")
        return [self.class_names.index(name) for name in names]

    def of_classes(self, class_ids: Sequence[int]) -> ImageSet:
        """The images of these classes: how base and novel classes are told apart."""
        return self.of(np.flatnonzero(np.isin(self.class_ids_N, class_ids)))


class _Rows(Sequence[bytes]):
    """Some of the files, read only when they are asked for."""

    def __init__(self, files: Sequence[bytes], rows_N: NDArray[np.int64]) -> None:
        self._files = files
        self._rows_N = rows_N

    def __len__(self) -> int:
        return len(self._rows_N)

    def __getitem__(self, index: int) -> bytes:  # type: ignore[override]
        return self._files[int(self._rows_N[index])]
