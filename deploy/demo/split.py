"""Labelled images, of which some teach and others ask."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LabelledImage:
    """`image` is a PNG, JPEG or WebP file's bytes, `origin` where people find it."""

    label: str
    image: bytes
    origin: str


@dataclass(frozen=True)
class Split:
    """No image both teaches and asks; every label that asks also teaches."""

    taught: tuple[LabelledImage, ...]
    asked: tuple[LabelledImage, ...]

    @property
    def labels(self) -> list[str]:
        return sorted({exemplar.label for exemplar in self.taught})
