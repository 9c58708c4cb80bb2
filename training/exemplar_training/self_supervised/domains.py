"""How images of a domain may differ and still show the same: photos, glyphs, textures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from exemplar_training.config import ViewsConfig

DomainName = Literal["photos", "glyphs", "textures"]


@dataclass(frozen=True)
class Domain:
    """Geometry, then color. What is 0 or false leaves images alone.

    A box of `least_area`..`most_area` of the image's area is shown, at most `aspect` times as wide
    as high or as high as wide; what is more than the image continues as `padding` of grid_sample.
    """

    least_area: float
    most_area: float = 1.0
    aspect: float = 1.0
    angle_degrees: float = 0.0  # turned by up to so much either way
    shear: float = 0.0  # a row is moved by up to so much of its distance from the middle
    is_mirrored: bool = False
    is_turned: bool = False  # by quarters, and upside down
    padding: Literal["border", "reflection"] = "border"
    jitter_share: float = 0.8  # how many images get the next four
    brightness: float = 0.0  # times 1 +- so much, as the next two
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0  # of a full turn of the color wheel, either way
    gray_share: float = 0.0
    blur_share: float = 0.0  # of images that are not small
    stroke: float = 0.0  # bolder or lighter by up to so much of a pixel on either side


DOMAINS: dict[DomainName, Domain] = {
    # Those of MoCo v2 (https://arxiv.org/abs/2003.04297) and SimSiam; small images are not blurred
    # (SimCLR, appendix B.9).
    "photos": Domain(
        least_area=0.2,
        aspect=4 / 3,
        is_mirrored=True,
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.1,
        gray_share=0.2,
        blur_share=0.5,
    ),
    # A mirrored b is a d, and a 6 upside down a 9: no flips. Fonts differ in slant, width and
    # stroke, writers in size and angle.
    "glyphs": Domain(
        least_area=0.7,
        most_area=1.5,
        aspect=1.25,
        angle_degrees=10,
        shear=0.25,
        jitter_share=1.0,
        brightness=0.2,
        contrast=0.4,
        stroke=1.0,
    ),
    # A crop can lose a defect of 12 pixels, a blur can hide it (another size blurs), and color may
    # be what is wrong: the whole image is shown, in the eight ways that cloth can lie.
    "textures": Domain(
        least_area=1.0,
        is_mirrored=True,
        is_turned=True,
        padding="reflection",
        brightness=0.2,
        contrast=0.2,
        saturation=0.1,
    ),
}


def domain_of(config: ViewsConfig) -> Domain:
    """The domain that `config` names, with its own crop where it has one."""
    domain = DOMAINS[config.domain]
    return replace(domain, least_area=config.crop) if config.crop else domain
