"""fp16: weights, and what a GPU computes from them, in half precision; the rest stays fp32.

Written here because ONNX Runtime's converter leaves nodes out of order and rounds the graph's
output to half precision, whatever is asked to stay float.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from exemplar_training.precision.qdq import alive, replace

if TYPE_CHECKING:
    from collections.abc import Iterator

_PRODUCTS = {"Conv", "Gemm", "MatMul"}
# What may follow in half precision. Norms, means, roots and squares leave its range (6e-8 to 65504)
# or lose digits, and take no time.
_FOLLOWING = {
    *("Add", "AveragePool", "Clip", "Concat", "Flatten", "Gelu", "GlobalAveragePool"),
    *("HardSigmoid", "HardSwish", "MaxPool", "Mul", "Relu", "Reshape", "Sigmoid", "Slice"),
    *("Softmax", "Split", "Squeeze", "Transpose", "Unsqueeze"),
}
_HALF = "_half"


def halved(model: onnx.ModelProto) -> bytes:
    """`model` in fp16 inside, its inputs and outputs as they were; equal calls give equal bytes."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    outputs = [output.name for output in model.graph.output]
    rewrite = _Rewrite(model)
    nodes = [new for node in model.graph.node for new in rewrite.nodes_for(node)]
    nodes = alive(nodes, outputs)
    used = {name for node in nodes for name in node.input}
    constants = [*model.graph.initializer, *rewrite.constants]
    replace(result.graph.node, nodes)
    replace(result.graph.initializer, [it for it in constants if it.name in used])
    onnx.checker.check_model(result, full_check=True)
    return result.SerializeToString(deterministic=True)


class _Rewrite:
    """Gives for each node the node and its casts; each tensor exists as float, as half, or both."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = onnx.shape_inference.infer_shapes(model).graph
        values = [*graph.value_info, *graph.input, *graph.output]
        kinds = {value.name: value.type.tensor_type.elem_type for value in values}
        self._floats = {name for name, kind in kinds.items() if kind == TensorProto.FLOAT}
        self._initializers = {it.name: it for it in graph.initializer}
        self._floats |= {it.name for it in graph.initializer if it.data_type == TensorProto.FLOAT}
        self._halves: dict[str, str] = {}  # float tensor -> the same in half precision
        self.constants: list[onnx.TensorProto] = []

    def nodes_for(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        if not self._is_half(node):
            yield node
            return
        floats = self._floats.intersection(node.input)
        for name in dict.fromkeys(node.input):
            if name in floats and name not in self._halves:
                yield from self._half(name)
        new = onnx.NodeProto()
        new.CopyFrom(node)
        replace(new.input, [self._halves.get(name, name) for name in node.input])
        replace(new.output, [f"{name}{_HALF}" for name in node.output])
        yield new
        for name in node.output:  # where nothing takes the float, this is dropped again
            self._halves[name] = f"{name}{_HALF}"
            yield _cast(f"{name}{_HALF}", name, TensorProto.FLOAT)

    def _is_half(self, node: onnx.NodeProto) -> bool:
        """Sums of products are, and what only passes on values that are half already."""
        passed_on = self._halves.keys() - self._initializers.keys()
        follows = node.op_type in _FOLLOWING and not passed_on.isdisjoint(node.input)
        return (node.op_type in _PRODUCTS or follows) and self._floats.issuperset(node.output)

    def _half(self, name: str) -> Iterator[onnx.NodeProto]:
        self._halves[name] = f"{name}{_HALF}"
        if name in self._initializers:
            values = numpy_helper.to_array(self._initializers[name]).astype(np.float16)
            self.constants.append(numpy_helper.from_array(values, self._halves[name]))
            return
        yield _cast(name, self._halves[name], TensorProto.FLOAT16)


def _cast(name: str, to_name: str, kind: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [name], [to_name], f"{to_name}_Cast", to=kind)
