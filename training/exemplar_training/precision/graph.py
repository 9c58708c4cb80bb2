"""What int8 has to know of a graph: its convolutions, what follows them, where pixels come in.

Nothing here names a layer of any network: whatever this package exports is walked the same way.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import numpy_helper

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

IMAGE = "image"
_ACTIVATIONS = ("Clip", "Relu")
_ADD_INPUTS = 2
_OIHW = 4  # dimensions of a convolution over images
_LEAST_PIXEL, _MOST_PIXEL = 0, 255


@dataclass(frozen=True)
class Layer:
    """A convolution with constant weights, called by their name, and its activation.

    `output` is the tensor after `activation`, which is a Clip or Relu that nothing else bypasses.
    """

    name: str
    node: onnx.NodeProto
    input: str
    output: str
    activation: onnx.NodeProto | None

    @property
    def bias(self) -> str:
        """Its constant; empty where it has none."""
        return str(self.node.input[2]) if len(self.node.input) > 2 else ""  # noqa: PLR2004

    @property
    def group(self) -> int:
        return next((a.i for a in self.node.attribute if a.name == "group"), 1)


@dataclass(frozen=True)
class Sum:
    """An addition of two tensors, as residual blocks end; `output` as in Layer."""

    node: onnx.NodeProto
    output: str
    activation: onnx.NodeProto | None


@dataclass(frozen=True)
class Pixels:
    """The tensor `tensor` is (`uint8` - zero) x scale, for every channel the same."""

    tensor: str
    uint8: str
    scale: float
    zero: float


class Graph:
    """A model's tensors by name: constants, who makes them, who takes them. It changes nothing."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self._nodes: Sequence[onnx.NodeProto] = graph.node
        self.constants: Mapping[str, NDArray[np.generic]] = {
            it.name: numpy_helper.to_array(it) for it in graph.initializer
        }
        self._maker_of = {name: node for node in graph.node for name in node.output}
        self._takers_of: dict[str, list[onnx.NodeProto | None]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self._takers_of[name].append(node)
        for output in graph.output:
            self._takers_of[output.name].append(None)

    def layers(self) -> list[Layer]:
        """The convolutions with constant weights, in the order in which they run."""
        return [self._layer(node) for node in self._nodes if self._is_layer(node)]

    def sums(self) -> list[Sum]:
        return [
            Sum(node, *self._after(node))
            for node in self._nodes
            if node.op_type == "Add"
            and len({name for name in node.input if name not in self.constants}) == _ADD_INPUTS
        ]

    def pixels(self) -> Pixels | None:
        """Where the images, normalized, enter the network; None where channels are unlike."""
        walk = list(self._from_image())
        kinds = [node.op_type for node in walk]
        if kinds[:4] != ["Transpose", "Cast", "Sub", "Div"]:
            return None
        mean, std = (np.unique(self.constants[node.input[1]]) for node in walk[2:4])
        if len(mean) > 1 or len(std) > 1 or not _LEAST_PIXEL <= mean[0] <= _MOST_PIXEL:
            return None
        return Pixels(walk[3].output[0], walk[0].output[0], float(1 / std[0]), float(mean[0]))

    def _from_image(self) -> Iterator[onnx.NodeProto]:
        tensor = IMAGE
        while len(self._takers_of[tensor]) == 1 and (taker := self._takers_of[tensor][0]):
            yield taker
            tensor = taker.output[0]

    def _is_layer(self, node: onnx.NodeProto) -> bool:
        """Weights that several layers share stay float: each has another input, so another bias."""
        if node.op_type != "Conv" or not all(it in self.constants for it in node.input[1:]):
            return False
        weights = node.input[1]
        return self.constants[weights].ndim == _OIHW and len(self._takers_of[weights]) == 1

    def _layer(self, node: onnx.NodeProto) -> Layer:
        return Layer(node.input[1], node, node.input[0], *self._after(node))

    def _after(self, node: onnx.NodeProto) -> tuple[str, onnx.NodeProto | None]:
        """The output of a node and its activation, and that activation."""
        output = node.output[0]
        takers = self._takers_of[output]
        taker = takers[0] if len(takers) == 1 else None
        if taker is None or taker.op_type not in _ACTIVATIONS or taker.input[0] != output:
            return output, None
        return taker.output[0], taker
