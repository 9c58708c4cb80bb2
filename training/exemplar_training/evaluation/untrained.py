"""A network that learned nothing: what the architecture alone is worth.

Shapes: N images, D dim.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from exemplar_server.core.artifact import MODEL_FILE
from exemplar_training.config import ModelConfig
from exemplar_training.embedder import Embedder
from exemplar_training.evaluation.embeddings import by_model_file
from exemplar_training.fit.build import UNTRAINED, backbone_of
from exemplar_training.onnx_file import write_onnx

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from exemplar_server.core.artifact import Manifest
    from exemplar_training.backbones import Backbone
    from exemplar_training.data.image_set import ImageSet


def by_untrained(manifest: Manifest, images: ImageSet, seed: int) -> NDArray[np.float32]:
    """Embeddings of the artifact's architecture with random weights, (N, D).

    Exported and run as an artifact is. Batch normalization keeps its initial statistics, mean 0 and
    variance 1: with the images' own the floor is lower
    (tests/bench/results/2026-11-24-few-shot-cifar10.md).

    Raises:
        UnknownBackboneError: this package makes no network of that name.
    """
    backbone = untrained(manifest, seed)
    with tempfile.TemporaryDirectory(prefix="exemplar-untrained-") as scratch:
        model = Path(scratch) / MODEL_FILE
        write_onnx(Embedder(backbone).eval(), backbone.spec.input_size, {}, model)
        told = f"untrained {backbone.spec.name}"
        return by_model_file(model, backbone.spec.input_size, images, told)


def untrained(manifest: Manifest, seed: int) -> Backbone:
    """The network that the artifact was exported from, with random weights; equal for equal seeds.

    Raises:
        UnknownBackboneError: this package makes no network of that name.
    """
    name = str(manifest.provenance["backbone"])
    size, dim = manifest.input_size, manifest.dim
    widths = tuple(manifest.provenance.get("run", {}).get("model.widths", ()))
    model = ModelConfig(name, weights=UNTRAINED, input_size=size, dim=dim, widths=widths)
    return backbone_of(model, seed)
