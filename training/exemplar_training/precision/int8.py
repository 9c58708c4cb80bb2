"""Static int8: convolutions and residual sums in 8 bits, everything else in floating point.

Linear layers stay float: they run once an image, and all that follows is the embedding. Written
here because ONNX Runtime's own quantizer saturates processors without VNNI (weights.py), loses
Clips beside layers that are kept in float, and turns pixels, which are 8 bits to begin with, into
floats and back, at a fifth of the whole run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from exemplar_training.errors import ExportError
from exemplar_training.precision.calibration import Seen, seen
from exemplar_training.precision.graph import Graph
from exemplar_training.precision.qdq import Integers, Level
from exemplar_training.precision.weights import Weights, quantized

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx
    from numpy.typing import NDArray

    from exemplar_training.precision.graph import Layer, Pixels

_LEVELS = 255


def calibrated(model: onnx.ModelProto, images: Iterable[NDArray[np.uint8]]) -> Integers:
    """8 bits for all layers of a float model, measured on images (H, W, 3) like those to come.

    Raises:
        ExportError: it has no convolution with constant weights.
    """
    graph = Graph(model)
    layers = graph.layers()
    if not layers:
        raise ExportError("--precision int8: expected a network with convolutions, got none")
    tensors = dict.fromkeys(name for layer in layers for name in (layer.input, layer.output))
    tensors |= dict.fromkeys(it.output for it in graph.sums())
    found = seen(model, list(tensors), images)
    pixels = graph.pixels()
    levels = {name: _level(name, it, pixels) for name, it in found.items()}
    weights = {
        layer.name: _weights(graph, layer, found[layer.input], levels[layer.input], pixels)
        for layer in layers
    }
    return Integers(weights, levels, pixels)


def _level(name: str, found: Seen, pixels: Pixels | None) -> Level:
    if pixels and name == pixels.tensor:
        return Level(np.float32(pixels.scale), np.uint8(round(pixels.zero)))
    scale = np.float32((found.most - found.least) / _LEVELS or 1)  # 1: it was always 0
    return Level(scale, np.uint8(round(-found.least / float(scale))))


def _weights(
    graph: Graph, layer: Layer, before: Seen, level: Level, pixels: Pixels | None
) -> Weights:
    weights_OIHW = np.asarray(graph.constants[layer.name], np.float32)
    is_first = pixels is not None and layer.input == pixels.tensor
    return quantized(
        weights_OIHW,
        np.asarray(graph.constants.get(layer.bias, np.zeros(len(weights_OIHW))), np.float32),
        group=layer.group,
        input_scale=float(level.scale),
        input_mean_C=before.mean_C,
        # A mean such as 127.5 is no whole level: every pixel is off by the same half.
        input_error=(pixels.zero - level.zero) * pixels.scale if pixels and is_first else 0.0,
    )
