"""What a frozen backbone says of every image, computed once: an adapter trains on it in seconds.

Shapes: N images, D dim of the backbone without its adapter.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from exemplar_server.core.artifact import MODEL_FILE
from exemplar_training.adapter import Adapted
from exemplar_training.embedder import Embedder
from exemplar_training.evaluation.embeddings import by_model_file
from exemplar_training.onnx_file import write_onnx

if TYPE_CHECKING:
    from torch import Tensor

    from exemplar_training.backbones import Backbone
    from exemplar_training.data.image_set import ImageSet


def rows_of(kept_ND: Tensor, rows_B: Tensor) -> Tensor:
    """These rows, (B, D), on the device where their numbers are."""
    return kept_ND[rows_B.to(kept_ND.device)].to(rows_B.device)


def below_adapter(backbone: Backbone, images: ImageSet) -> Tensor:
    """The embeddings that `backbone` gives its adapter, float32 (N, D) of unit length, in order.

    Exported and run as an artifact is, on CPUs.

    Raises:
        EvaluationError: an image cannot be decoded.
    """
    trunk, spec = backbone.trunk, backbone.spec
    if not isinstance(trunk, Adapted):
        raise TypeError("expected a backbone with an adapter")
    frozen = replace(backbone, trunk=trunk.trunk, spec=replace(spec, power=trunk.power))
    with tempfile.TemporaryDirectory(prefix="exemplar-frozen-") as scratch:
        model = Path(scratch) / MODEL_FILE
        write_onnx(Embedder(frozen).eval(), spec.input_size, {}, model)
        return torch.from_numpy(by_model_file(model, spec.input_size, images, spec.name))
