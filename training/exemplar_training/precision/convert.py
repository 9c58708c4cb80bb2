"""From the fp32 file to the precision that is asked for, gates included."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from exemplar_training.errors import ExportError
from exemplar_training.evaluation.embeddings import by_model_file, pixels
from exemplar_training.precision import fp16, gates, int8, qdq
from exemplar_training.precision.kept import choose_kept

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from exemplar_training.data.image_set import ImageSet
    from exemplar_training.evaluation.metrics import Interval
    from exemplar_training.precision.gates import Cosines
    from exemplar_training.precision.kept import Kept

_CALIBRATION_IMAGES = 128
_UNSEEN_IMAGES = 1000
# Above the gate's bound, because layers are chosen on the images that calibrated them.
_ENOUGH = gates.LEAST_COSINE + 0.005
_DIGITS = 6


@dataclass(frozen=True)
class Int8Images:
    """Images to calibrate on and, none of them, images to judge on."""

    calibrating: ImageSet
    unseen: ImageSet


def int8_images(images: ImageSet) -> Int8Images:
    """Draws both, by a fixed seed.

    Raises:
        ExportError: there are too few.
    """
    need = _CALIBRATION_IMAGES + _UNSEEN_IMAGES
    if len(images) < need:
        raise ExportError(f"--calibrate: expected at least {need} images, got {len(images)}")
    rows = np.random.default_rng(0).permutation(len(images))[:need]
    return Int8Images(images.of(rows[:_CALIBRATION_IMAGES]), images.of(rows[_CALIBRATION_IMAGES:]))


@dataclass(frozen=True)
class Int8Evidence:
    """What int8 was measured to be: the layers in float, cosines and few-shot gains over fp32."""

    data: str
    kept: Kept
    cosines: Cosines
    gains: dict[str, Interval]

    @property
    def told(self) -> str:
        gains = ", ".join(
            f"{100 * gain.mean:+.2f} +- {100 * gain.half:.2f} points ({head})"
            for head, gain in self.gains.items()
        )
        floats = f"{len(self.kept.layers)} layers in float"
        return f"cosine {self.cosines.percentile_1:.4f} (1st percentile), {gains}, {floats}"

    @property
    def provenance(self) -> dict[str, Any]:
        return {
            "data": self.data,
            "calibration_images": _CALIBRATION_IMAGES,
            "unseen_images": _UNSEEN_IMAGES,
            "float_layers": list(self.kept.layers),
            "cosine_without_float_layers": round(self.kept.none, _DIGITS),
            "cosine_with_one_float_layer": _rounded(self.kept.alone),
            "cosine_on_unseen": _rounded(asdict(self.cosines)),
            "few_shot_gain": {head: _rounded(asdict(it)) for head, it in self.gains.items()},
        }


def to_half(model_path: Path) -> None:
    """Replaces the fp32 file by one of half the size."""
    model_path.write_bytes(fp16.halved(onnx.load(model_path)))


def to_int8(model_path: Path, side: int, images: Int8Images) -> Int8Evidence:
    """Replaces the fp32 file by an int8 one, calibrated and judged on the images.

    Raises:
        ExportError: int8 costs too much.
        EvaluationError: no episodes can be drawn from the images.
    """
    calibrating, unseen = images.calibrating, images.unseen
    model = onnx.load(model_path)
    integers = int8.calibrated(model, pixels(calibrating, range(len(calibrating)), side))
    candidate = model_path.with_suffix(".int8")

    def embeddings(of: ImageSet, kept: Sequence[str]) -> NDArray[np.float32]:
        candidate.write_bytes(qdq.rewritten(model, integers, kept))
        return by_model_file(candidate, side, of, "int8")

    expected_ND = by_model_file(model_path, side, calibrating, "fp32")
    kept = choose_kept(
        list(integers.weights_by_layer),
        lambda kept: gates.cosines(embeddings(calibrating, kept), expected_ND).percentile_1,
        _ENOUGH,
    )
    expected_ND = by_model_file(model_path, side, unseen, "fp32")
    unseen_ND = embeddings(unseen, kept.layers)
    measured = gates.cosines(unseen_ND, expected_ND)
    gained = gates.gains(unseen_ND, expected_ND, unseen)
    gates.check(measured, gained)
    candidate.replace(model_path)
    return Int8Evidence(unseen.name, kept, measured, gained)


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, _DIGITS) for name, value in values.items()}
