"""Writes an embedder as one ONNX file, equal byte for byte wherever it is written.

Only this file and `precision/` import onnx.
"""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import onnx
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exemplar_training.embedder import Embedder

OPSET = 20
VERSION = str(onnx.__version__)


def write_onnx(embedder: Embedder, input_size: int, facts: dict[str, str], path: Path) -> None:
    """Writes the graph `image` (B, H, W, 3) -> `embedding` (B, D) with `facts` as metadata."""
    model = _exported(embedder, input_size)
    _forget_origin(model)
    onnx.helper.set_model_props(model, dict(sorted(facts.items())))
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _exported(embedder: Embedder, input_size: int) -> onnx.ModelProto:
    # Batch 2: torch.export takes 0 and 1 for constants.
    image = torch.zeros(2, input_size, input_size, 3, dtype=torch.uint8)
    with _quiet():
        program = torch.onnx.export(
            embedder,
            (image,),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            input_names=["image"],
            output_names=["embedding"],
            dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
            verbose=False,
        )
    if program is None:  # only with a file name
        raise TypeError("torch.onnx.export gave no program")
    return program.model_proto


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's warnings are about its own internals; they stay inside."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _forget_origin(model: onnx.ModelProto) -> None:
    """Removes what names this machine: the exporter writes absolute paths into every node.

    The producer goes too: it says "+cpu" or "+cu130", and each build would get its own fingerprint.
    """
    graph = model.graph
    model.producer_name, model.producer_version, model.doc_string = "exemplar", "", ""
    del graph.value_info[:]
    parts: tuple[Any, ...] = (model, graph, *graph.node, *graph.input, *graph.output)
    for part in (*parts, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
