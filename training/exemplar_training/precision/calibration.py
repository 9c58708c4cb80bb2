"""What passes through a network on real images: the ranges that 8 bits have to hold.

Shapes: N images, B batch, C channels, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime

from exemplar_training.precision.graph import IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Seen:
    """A tensor's least and most value over all images, 0 among them, and its channels' means."""

    least: float
    most: float
    mean_C: NDArray[np.float64]


def seen(
    model: onnx.ModelProto, tensors: Sequence[str], images: Iterable[NDArray[np.uint8]]
) -> Mapping[str, Seen]:
    """Runs `model` on the images (H, W, 3) one by one and looks at `tensors`, (1, C, H, W)."""
    session = _session_with_outputs(model, tensors)
    totals = {name: _Total() for name in tensors}
    for image_HWC in images:
        outputs = session.run(list(tensors), {IMAGE: image_HWC[None]})
        for name, values_BCHW in zip(tensors, outputs, strict=True):
            totals[name].add(values_BCHW)
    return {name: total.seen() for name, total in totals.items()}


def _session_with_outputs(
    model: onnx.ModelProto, tensors: Sequence[str]
) -> onnxruntime.InferenceSession:
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    for name in tensors:
        watched.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # so that sums are in one order, and the file always the same
    return onnxruntime.InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


class _Total:
    """Running extremes and sums of a tensor."""

    def __init__(self) -> None:
        self._least = self._most = 0.0
        self._mean_C: NDArray[np.float64] | float = 0.0
        self._count = 0

    def add(self, values_BCHW: NDArray[np.float32]) -> None:
        self._least = min(self._least, float(values_BCHW.min()))
        self._most = max(self._most, float(values_BCHW.max()))
        self._mean_C = self._mean_C + values_BCHW.mean(axis=(0, 2, 3), dtype=np.float64)
        self._count += 1

    def seen(self) -> Seen:
        return Seen(self._least, self._most, np.asarray(self._mean_C) / max(self._count, 1))
