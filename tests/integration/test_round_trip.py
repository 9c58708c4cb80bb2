"""Trained for seconds, exported, served: gRPC gives the few-shot answers that offline gave."""

import numpy as np
import pytest

from exemplar import Client
from exemplar_server.core.artifact import load_artifact
from exemplar_training.cli import main
from exemplar_training.evaluation.embeddings import by_artifact
from exemplar_training.evaluation.episodes import EpisodeSpec, sample
from exemplar_training.evaluation.heads import HEADS, play
from fit_runs import fit
from server_process import server_process
from training_images import NAMES, squares

pytestmark = pytest.mark.usefixtures("one_thread")
IMAGES = squares(90, seed=1)  # training has those of seed 0
EPISODES = sample(IMAGES, EpisodeSpec(n_way=4, n_shot=3, n_query=6, episodes=4))


@pytest.fixture(scope="module")
def artifact(one_thread, tmp_path_factory):
    folder = tmp_path_factory.mktemp("round-trip")
    still = {"augment__flip": False, "augment__crop": 1.0, "augment__color": 0.0}
    fit(folder / "squares", squares(120), data__batch=16, schedule__steps=25, **still)
    arguments = ["--checkpoint", str(folder / "squares"), "--out", str(folder / "backbones")]
    assert main(["export", *arguments]) == 0
    return folder / "backbones/squares/1"


@pytest.fixture(scope="module")
def client(artifact):
    with server_process(artifact) as address, Client(address) as connected:
        yield connected


def files(rows):
    return [IMAGES.files[row] for row in rows.ravel()]


def names(class_ids):
    return [NAMES[class_id] for class_id in class_ids]


def served(client, number, options):
    """The label and score of each query of an episode."""
    name = f"{number}-{options.head}-{options.k}"
    support_LS = EPISODES.support_ELS[number]
    labels = names(IMAGES.class_ids_N[support_LS.ravel()])
    client.create_support_set(name)
    client.add_exemplars(name, zip(labels, files(support_LS), strict=True))
    queries = files(EPISODES.query_ELQ[number])
    answers = client.classify(name, queries, head=options.head.lower(), k=options.k)
    return [answer.label for answer in answers], [answer.scores[0].score for answer in answers]


@pytest.mark.parametrize("options", HEADS)
def test_a_trained_backbone_answers_through_grpc_as_it_did_offline(artifact, client, options):
    offline = play(by_artifact(load_artifact(artifact), IMAGES, "offline"), EPISODES, options)
    for number in range(len(EPISODES)):
        labels, scores = served(client, number, options)
        assert labels == names(offline.answer_EQ[number])
        np.testing.assert_allclose(scores, offline.score_EQ[number], atol=1e-4)
        is_right_Q = np.array(labels) == names(offline.truth_EQ[number])
        assert is_right_Q.mean() == offline.accuracy_E[number]
    assert offline.accuracy_E.mean() > 0.8  # chance is 0.25: these are answers, not noise
