"""Rewrites a float model with QuantizeLinear and DequantizeLinear pairs around what is 8 bits.

ONNX Runtime merges a layer between such pairs into one integer kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from exemplar_training.precision.graph import Graph, Layer, Pixels, Sum

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from exemplar_training.precision.weights import Weights

_DEQUANTIZED = "_dequantized"


@dataclass(frozen=True)
class Level:
    """A tensor in 8 bits is (integer - zero) x scale."""

    scale: np.float32
    zero: np.uint8


@dataclass(frozen=True)
class Integers:
    """What the layers of a model are in 8 bits, and the tensors between them."""

    weights_by_layer: Mapping[str, Weights]
    level_by_tensor: Mapping[str, Level]
    pixels: Pixels | None


def rewritten(model: onnx.ModelProto, integers: Integers, kept: Container[str]) -> bytes:
    """`model` with all layers in 8 bits but those in `kept`; equal calls give equal bytes."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = Graph(model)
    layers = [layer for layer in graph.layers() if layer.name not in kept]
    rewrite = _Rewrite(integers, layers, _sums_between(graph, layers))
    nodes = [new for node in model.graph.node for new in rewrite.nodes_for(node)]
    nodes = alive(nodes, [output.name for output in model.graph.output])
    used = {name for node in nodes for name in node.input}
    constants = [*model.graph.initializer, *rewrite.constants]
    replace(result.graph.node, nodes)
    replace(result.graph.initializer, [it for it in constants if it.name in used])
    onnx.checker.check_model(result, full_check=True)
    return result.SerializeToString(deterministic=True)


def _sums_between(graph: Graph, layers: Iterable[Layer]) -> list[Sum]:
    """The sums whose inputs are 8 bits because of layers, or of other sums."""
    integer = {name for layer in layers for name in (layer.input, layer.output)}
    found = []
    for it in graph.sums():  # in their order: one's output may be the next one's input
        if integer.issuperset(it.node.input):
            found.append(it)
            integer.add(it.output)
    return found


class _Rewrite:
    """Gives for each node of a float model those of the 8-bit one; collects new constants."""

    def __init__(self, integers: Integers, layers: list[Layer], sums: list[Sum]) -> None:
        self._integers = integers
        outputs: list[Layer | Sum] = [*layers, *sums]
        self._layer_by_output = {layer.node.output[0]: layer for layer in layers}
        # Layers and sums write what their activations wrote: the bounds of Clip and Relu are those
        # of the 8 bits, which saturate.
        self._renamed = {it.node.output[0]: it.output for it in outputs}
        self._dropped = {it.output for it in outputs if it.activation is not None}
        self._tensors = {name for layer in layers for name in (layer.input, layer.output)}
        self._tensors |= {it.output for it in sums}
        self.constants: list[onnx.TensorProto] = []

    def nodes_for(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        output = node.output[0]
        if output in self._dropped:
            return []
        new = onnx.NodeProto()
        new.CopyFrom(node)
        inputs = [f"{it}{_DEQUANTIZED}" if it in self._tensors else it for it in node.input]
        before = []
        if layer := self._layer_by_output.get(output):
            before = self._weights(layer)
            inputs[1:] = [it.output[0] for it in before]
        replace(new.input, inputs)
        new.output[0] = self._renamed.get(output, output)
        return [*before, new, *self._pair(new.output[0])]

    def _weights(self, layer: Layer) -> list[onnx.NodeProto]:
        weights = self._integers.weights_by_layer[layer.name]
        scale = self._integers.level_by_tensor[layer.input].scale
        bias_scales_O = weights.scales_O * scale  # as ONNX Runtime expects it of a bias
        bias_O = np.round(weights.bias_O / bias_scales_O).astype(np.int32)
        return [
            self._constant(layer.name, weights.integers_OIHW, weights.scales_O),
            self._constant(f"{layer.name}_bias", bias_O, bias_scales_O),
        ]

    def _constant(
        self, name: str, integers: NDArray[np.integer], scales_O: NDArray[np.float32]
    ) -> onnx.NodeProto:
        zeros_O = np.zeros(len(scales_O), integers.dtype)
        values = {"quantized": integers, "scale": scales_O, "zero": zeros_O}
        inputs = [self._named(f"{name}_{kind}", value) for kind, value in values.items()]
        return _node("DequantizeLinear", inputs, f"{name}{_DEQUANTIZED}", axis=0)

    def _pair(self, tensor: str) -> list[onnx.NodeProto]:
        """From floating point to 8 bits and back; pixels only come back, as they are 8 bits."""
        if tensor not in self._tensors:
            return []
        level, pixels = self._integers.level_by_tensor[tensor], self._integers.pixels
        levels = [
            self._named(f"{tensor}_scale", np.asarray(level.scale)),
            self._named(f"{tensor}_zero", np.asarray(level.zero)),
        ]
        if pixels and tensor == pixels.tensor:
            return [_node("DequantizeLinear", [pixels.uint8, *levels], f"{tensor}{_DEQUANTIZED}")]
        quantized = f"{tensor}_quantized"
        return [
            _node("QuantizeLinear", [tensor, *levels], quantized),
            _node("DequantizeLinear", [quantized, *levels], f"{tensor}{_DEQUANTIZED}"),
        ]

    def _named(self, name: str, value: NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name


def _node(op_type: str, inputs: Sequence[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op_type, inputs, [output], f"{output}_{op_type}", **attributes)


def alive(nodes: list[onnx.NodeProto], outputs: Iterable[str]) -> list[onnx.NodeProto]:
    """Those that any of `outputs` depends on."""
    needed, alive = set(outputs), []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            alive.append(node)
    return alive[::-1]


def replace(field: Any, values: Iterable[Any]) -> None:
    """The values of a repeated field of a message, instead of those that are there."""
    copied = list(values)
    del field[:]
    field.extend(copied)
