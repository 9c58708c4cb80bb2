"""A backbone for tests: no weights, real ONNX. Embeddings are the images, 8 x 8 and unit length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from exemplar_server.backends import images
from exemplar_server.core import artifact
from exemplar_server.core.artifact import Manifest

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

INPUT_SIZE = 32
GRID = 8
DIM = GRID * GRID * 3


def reference(images_BHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the graph computes: means over 4 x 4 pixels less 128, scaled to unit length."""
    cell = INPUT_SIZE // GRID
    cells = images_BHWC.astype(np.float64).reshape(-1, GRID, cell, GRID, cell, 3)
    rows = cells.mean(axis=(2, 4)).reshape(-1, DIM) - 127.75
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def model(offset: float = 127.75) -> onnx.ModelProto:
    cell = INPUT_SIZE // GRID
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["pixels", "cells_shape"], ["cells"]),
        helper.make_node("ReduceMean", ["cells", "cell_axes"], ["means"], keepdims=0),
        helper.make_node("Reshape", ["means", "rows_shape"], ["rows"]),
        helper.make_node("Sub", ["rows", "offset"], ["centered"]),
        helper.make_node("LpNormalization", ["centered"], ["embedding"], axis=1, p=2),
    ]
    constants = {
        "cells_shape": np.array([-1, GRID, cell, GRID, cell, 3], dtype=np.int64),
        "cell_axes": np.array([2, 4], dtype=np.int64),
        "rows_shape": np.array([-1, DIM], dtype=np.int64),
        "offset": np.array(offset, dtype=np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(
                "image", TensorProto.UINT8, ["B", INPUT_SIZE, INPUT_SIZE, 3]
            )
        ],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["B", DIM])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def write(root: Path, name: str = "tiny", offset: float = 127.75, version: str = "1") -> Path:
    """Writes the artifact under `root` as name/version and returns its directory."""
    directory = root / name / version
    directory.mkdir(parents=True)
    onnx.save_model(model(offset), directory / artifact.MODEL_FILE)
    sha256 = artifact.sha256_of(directory / artifact.MODEL_FILE)
    preprocessing_id = images.preprocessing_id(INPUT_SIZE)
    manifest = Manifest(
        name=name,
        version=version,
        fingerprint=artifact.fingerprint_of(sha256, preprocessing_id),
        dim=DIM,
        input_size=INPUT_SIZE,
        preprocessing_id=preprocessing_id,
        precision="fp32",
        opset=20,
        license="Apache-2.0",
        provenance={"method": "by formula"},
        files={artifact.MODEL_FILE: sha256},
        golden_embeddings=artifact.encode_golden(_golden(offset)),
    )
    artifact.write_manifest(directory, manifest)
    return directory


def _golden(offset: float) -> NDArray[np.float32]:
    session = ort.InferenceSession(
        model(offset).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"image": artifact.golden_images(INPUT_SIZE)})[0]
