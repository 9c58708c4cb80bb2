"""The default backbone through the whole service: its answers equal the references'."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier

from exemplar import Client
from exemplar_server.backends import images
from exemplar_training import backbones
from exemplar_training.embedder import Embedder
from exemplar_training.photos import labelled_photos
from pictures import encoded
from server_process import server_process

BACKBONE = Path(__file__).parents[2] / "build/backbones/lite0/1"
CROPS_A_PHOTO = 100
QUERIES = 400
SEED = 0
LIMITS = images.ImageLimits()


def crops() -> list[tuple[str, bytes]]:
    """2,000 random crops of 20 labelled photos, shuffled; small, so that decoding them is quick."""
    random = np.random.default_rng(SEED)
    made = []
    for photo in labelled_photos():
        picture = Image.open(io.BytesIO(photo.data)).convert("RGB")
        for _ in range(CROPS_A_PHOTO):
            side = int(random.integers(min(picture.size) // 3, min(picture.size)))
            left = int(random.integers(0, picture.width - side + 1))
            top = int(random.integers(0, picture.height - side + 1))
            crop = picture.crop((left, top, left + side, top + side)).resize((96, 96))
            made.append((str(photo.class_id), encoded(crop, "JPEG", quality=90)))
    random.shuffle(made)
    return made


@pytest.fixture(scope="module")
def client():
    with server_process(BACKBONE) as address, Client(address) as connected:
        yield connected


@pytest.fixture(scope="module")
def embedded(client):
    """The crops' labels, images and embeddings as the service gives them."""
    labels, photos = zip(*crops(), strict=True)
    return np.array(labels), photos, client.embed(photos)


def test_embeddings_through_grpc_equal_pytorch(embedded):
    _, photos, vectors = embedded
    backbone = backbones.build("lite0")
    pixels_BHWC = np.stack([images.decode(photo, 224, LIMITS) for photo in photos[:64]])
    with torch.inference_mode():
        expected_BD = Embedder(backbone).eval()(torch.from_numpy(pixels_BHWC)).numpy()
    served_BD = np.stack([np.asarray(vector) for vector in vectors[:64]])
    assert (served_BD * expected_BD).sum(axis=1).min() >= 0.9999


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (5, 0.07), (10, 0.5)])
def test_knn_answers_equal_scikit_learn(client, embedded, k, temperature):
    labels, _, vectors = embedded
    name = f"knn-{k}-{temperature}"
    client.create_support_set(name)
    client.add_exemplars(name, zip(labels[QUERIES:], vectors[QUERIES:], strict=True))
    matrix_ND = np.stack([np.asarray(vector) for vector in vectors]).astype(np.float64)
    reference = KNeighborsClassifier(
        k, weights=lambda d: np.exp(-d / temperature), algorithm="brute", metric="cosine"
    ).fit(matrix_ND[QUERIES:], labels[QUERIES:])
    expected_QL = reference.predict_proba(matrix_ND[:QUERIES])

    answers = client.classify(name, vectors[:QUERIES], k=k, head="knn", temperature=temperature)

    column = {label: number for number, label in enumerate(reference.classes_)}
    served_QL = np.zeros_like(expected_QL)
    for row, answer in enumerate(answers):
        for label, score in ((s.label, s.score) for s in answer.scores):
            served_QL[row, column[label]] = score
    np.testing.assert_allclose(served_QL, expected_QL, atol=1e-4)
    assert [a.label for a in answers] == list(reference.predict(matrix_ND[:QUERIES]))
