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
from exemplar_training.evaluation.embeddings import as_they_are, by_model_file
from exemplar_training.onnx_file import write_onnx

if TYPE_CHECKING:
    from torch import Tensor

    from exemplar_training.backbones import Backbone
    from exemplar_training.data.image_set import ImageSet
    from exemplar_training.evaluation.embeddings import Shown


def rows_of(kept_ND: Tensor, rows_B: Tensor) -> Tensor:
    """These rows, (B, D), on the device where their numbers are."""
    return kept_ND[rows_B.to(kept_ND.device)].to(rows_B.device)


def below_adapter(backbone: Backbone, images: ImageSet) -> Tensor:
    """The embeddings that `backbone` gives its adapter, float32 (N, D) of unit length, in order.

    Raises:
        EvaluationError: an image cannot be decoded.
    """
    return embedded_below_adapter(backbone, images, backbone.spec.input_size, as_they_are)


def embedded_below_adapter(backbone: Backbone, images: ImageSet, side: int, shown: Shown) -> Tensor:
    """The same of what is `shown` of the images, at `side` pixels.

    Exported and run as an artifact is, on CPUs.
    """
    with tempfile.TemporaryDirectory(prefix="exemplar-frozen-") as scratch:
        model = Path(scratch) / MODEL_FILE
        write_onnx(Embedder(below_trunk(backbone)).eval(), side, {}, model)
        size, name = backbone.spec.input_size, backbone.spec.name
        return torch.from_numpy(by_model_file(model, size, images, name, shown))


def below_trunk(backbone: Backbone) -> Backbone:
    """What stands below the adapter, as if it were served itself."""
    trunk = backbone.trunk
    if not isinstance(trunk, Adapted):
        raise TypeError("expected a backbone with an adapter")
    return replace(backbone, trunk=trunk.trunk, spec=replace(backbone.spec, power=trunk.power))
