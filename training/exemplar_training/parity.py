"""The gate between PyTorch and ONNX: the file must say what the network said before its export.

Shapes: N images, B batch, D dim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import torch

from exemplar_training.errors import ExportError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from exemplar_training.embedder import Embedder

BATCHES = (1, 5, 64)
PARITY_COSINE = 0.9999  # fp32
HALF_PARITY_COSINE = 0.999  # fp16
VERSION = str(onnxruntime.__version__)
_UNIT_TOLERANCE = 1e-3


def reference(embedder: Embedder, images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What PyTorch says, (N, D): take it before the export, which may change the module.

    Raises:
        ExportError: the module is in training mode, or its embeddings are not of unit length.
    """
    if any(module.training for module in embedder.modules()):
        raise ExportError("backbone: expected evaluation mode, got training mode")
    with torch.inference_mode():
        embeddings_ND: NDArray[np.float32] = embedder(torch.from_numpy(images_NHWC)).numpy()
    _check_unit_length(embeddings_ND)
    return embeddings_ND


def answers(path: Path, images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the file says of the images one by one, (N, D)."""
    session = _session(path)
    rows = [session.run(["embedding"], {"image": image_HWC[None]})[0] for image_HWC in images_NHWC]
    return np.concatenate(rows)


def check_parity(
    path: Path,
    images_NHWC: NDArray[np.uint8],
    expected_ND: NDArray[np.float32],
    least: float = PARITY_COSINE,
) -> dict[int, float]:
    """The least cosine at each batch size, the images repeated where there are too few.

    Raises:
        ExportError: a cosine is below `least` or a shape is wrong.
    """
    session = _session(path)
    cosines = {}
    for batch in BATCHES:
        rows = np.arange(batch) % len(images_NHWC)
        (actual_BD,) = session.run(["embedding"], {"image": images_NHWC[rows]})
        cosines[batch] = _least_cosine(actual_BD, expected_ND[rows])
        if not cosines[batch] >= least:
            message = f"parity at batch {batch}: expected cosine >= {least}"
            raise ExportError(f"{message} between ONNX and PyTorch, got {cosines[batch]:.6f}")
    return cosines


def _session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def _least_cosine(actual_BD: NDArray[np.float32], expected_BD: NDArray[np.float32]) -> float:
    if actual_BD.shape != expected_BD.shape or actual_BD.dtype != np.float32:
        raise ExportError(
            f"embedding: expected float32 {expected_BD.shape}, "
            f"got {actual_BD.dtype} {actual_BD.shape}"
        )
    _check_unit_length(actual_BD)
    actual, expected = actual_BD.astype(np.float64), expected_BD.astype(np.float64)
    norms_B = np.linalg.norm(actual, axis=1) * np.linalg.norm(expected, axis=1)
    return float((np.sum(actual * expected, axis=1) / norms_B).min())


def _check_unit_length(embeddings_ND: NDArray[np.float32]) -> None:
    norms_N = np.linalg.norm(embeddings_ND.astype(np.float64), axis=1)
    # Written so that NaN fails too.
    if not np.all(np.abs(norms_N - 1) < _UNIT_TOLERANCE):
        raise ExportError(f"embedding: expected unit length, got {norms_N.min()}..{norms_N.max()}")
