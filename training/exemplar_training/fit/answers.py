"""What a finished run says without an export: its head's logits, its backbone's embeddings.

On the CPU, in evaluation mode, decoded as the server decodes, by averaged weights where the run
kept them. Shapes: N images, B batch, H height, W width, C channels, K classes, D dim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from exemplar_server.backends.onnx_backbone import available_cores
from exemplar_training.embedder import Embedder
from exemplar_training.errors import CheckpointError
from exemplar_training.evaluation.embeddings import embed
from exemplar_training.fit.head import shape_of
from exemplar_training.fit.network import Network
from exemplar_training.fit.trained import trained_backbone, trained_head

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from exemplar_training.backbones import Backbone
    from exemplar_training.data.image_set import ImageSet

_BATCH = 64


def logits(run: Path, images: ImageSet) -> NDArray[np.float32]:
    """What the head of the run says, (N, K), in order; class k is `images.class_names[k]`.

    Raises:
        CheckpointError: no whole checkpoint, no head, or one of another number of classes.
        EvaluationError: an image cannot be decoded.
    """
    backbone, head = trained_backbone(run), trained_head(run)
    class_count, _ = shape_of(head)
    if class_count != len(images.class_names):
        expected = f"a head for the {len(images.class_names)} classes of {images.name}"
        raise CheckpointError(f"{run}: expected {expected}, got one for {class_count}")
    return outputs(Network(backbone, head), backbone.spec.input_size, images, run.name)


def embeddings(run: Path, images: ImageSet) -> NDArray[np.float32]:
    """What an export of the run would say, (N, D) of unit length, in order; raises as `logits`."""
    return embedded(trained_backbone(run), images, run.name)


def embedded(backbone: Backbone, images: ImageSet, told: str) -> NDArray[np.float32]:
    """As `embeddings`, of a backbone; `told` names the progress bar."""
    return outputs(Embedder(backbone), backbone.spec.input_size, images, told)


def outputs(module: nn.Module, side: int, images: ImageSet, told: str) -> NDArray[np.float32]:
    """What a module says of uint8 images (B, H, W, 3), in order; `told` names the progress bar."""
    module.eval()

    def output(image_BHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():  # counts for its thread alone
            given: NDArray[np.float32] = module(torch.from_numpy(image_BHWC)).numpy()
        return given

    return embed(images, side, output, told, batch=_BATCH, threads=available_cores())
