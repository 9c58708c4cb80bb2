"""What a finished run says: averaged weights, evaluation mode, and nothing of half a checkpoint."""

import numpy as np
import pytest
import torch

from exemplar_server.backends.images import ImageLimits, decode
from exemplar_training.embedder import Embedder
from exemplar_training.errors import CheckpointError
from exemplar_training.fit import checkpoint
from exemplar_training.fit.answers import embeddings, logits
from exemplar_training.fit.trained import trained_backbone
from exemplar_training.small_cnn import small_cnn
from fit_runs import content
from training_images import squares

pytestmark = pytest.mark.usefixtures("one_thread")
IMAGES = squares(70)  # more than a batch


def pixels():
    decoded = [decode(file, 32, ImageLimits()) for file in IMAGES.files]
    return torch.from_numpy(np.stack(decoded))


def test_logits_are_the_averaged_heads_cosines_of_the_averaged_embedding(whole):
    state = content(whole)["ema"]
    embedder = Embedder(small_cnn(dim=64)).eval()
    embedder.load_state_dict(
        {name[9:]: value for name, value in state.items() if name.startswith("embedder.")}
    )
    with torch.inference_mode():
        unit_ND = embedder(pixels()).numpy()
    direction_KD = torch.nn.functional.normalize(state["head.weight_KD"], dim=1).numpy()
    expected_NK = float(state["head.scale"]) * unit_ND @ direction_KD.T
    np.testing.assert_allclose(logits(whole, IMAGES), expected_NK, atol=1e-4)


def test_embeddings_are_those_of_the_backbone_that_an_export_takes(whole):
    with torch.inference_mode():
        expected_ND = Embedder(trained_backbone(whole)).eval()(pixels()).numpy()
    np.testing.assert_allclose(embeddings(whole, IMAGES), expected_ND, atol=1e-5)


def test_images_of_other_classes_are_refused(whole):
    images = squares(6)
    few = type(images)("few", images.files, images.class_ids_N % 2, images.class_names[:2])
    with pytest.raises(CheckpointError, match="run: expected a head for the 2 classes of few, got"):
        logits(whole, few)


@pytest.mark.parametrize("ask", [embeddings, logits])
def test_half_a_checkpoint_says_nothing(whole, tmp_path, ask):
    half = (whole / checkpoint.FILE).read_bytes()[:5000]
    (tmp_path / checkpoint.FILE).write_bytes(half)
    with pytest.raises(CheckpointError, match="cut off"):
        ask(tmp_path, IMAGES)
