"""The server's heads on whole episodes: its prototypes, its votes, its temperature.

`scores` says what `exemplar_server.core.classify` answers, for all queries at once; a test holds
the two equal. Shapes: N images, X exemplars, Q queries, L labels, D dim, K neighbors, E episodes,
M queries of unknown classes. Embeddings are float32 of unit length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from exemplar_server.core import heads
from exemplar_server.core.classify import ClassifyOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from exemplar_training.evaluation.episodes import Episodes

# What the service offers: its other head, the plainest neighbor, and its default.
HEADS = (
    ClassifyOptions(head=heads.PROTOTYPE),
    ClassifyOptions(head=heads.KNN, k=1),
    ClassifyOptions(head=heads.KNN, k=heads.DEFAULT_K),
)


@dataclass(frozen=True)
class Scores:
    """Each label's score in [0, 1], and the query's best similarity in [-1, 1].

    As in the server's Answer: to the best prototype (prototype) or the nearest exemplar (knn).
    """

    scores_QL: NDArray[np.float64]
    similarity_Q: NDArray[np.float32]


@dataclass(frozen=True)
class Played:
    """What a head answered in E episodes; Q counts all queries of an episode.

    `truth_EQ` and `answer_EQ` are class ids, `score_EQ` the score of the answer. `similarity_EQ`
    and `unknown_similarity_EM` are the best similarities of known and unknown queries.
    """

    truth_EQ: NDArray[np.int64]
    answer_EQ: NDArray[np.int64]
    score_EQ: NDArray[np.float64]
    similarity_EQ: NDArray[np.float32]
    unknown_similarity_EM: NDArray[np.float32]

    @property
    def accuracy_E(self) -> NDArray[np.float64]:
        """The share of right answers in each episode."""
        result_E: NDArray[np.float64] = (self.truth_EQ == self.answer_EQ).mean(axis=1)
        return result_E


def head_name(options: ClassifyOptions) -> str:
    return "prototype" if options.head == heads.PROTOTYPE else f"{options.k}-NN"


def scores(
    support_XD: NDArray[np.float32],
    codes_X: NDArray[np.int64],
    queries_QD: NDArray[np.float32],
    options: ClassifyOptions,
) -> Scores:
    """What the server says to the queries. `codes_X` numbers the exemplars' labels from 0.

    Equally near exemplars vote in their order, as the server's do by their ids.
    """
    label_count = int(codes_X.max()) + 1
    if options.head == heads.PROTOTYPE:
        similarities_QL = queries_QD @ heads.prototypes(support_XD, codes_X, label_count).T
        shares_QL = heads.softmax(similarities_QL, options.temperature)
        return Scores(shares_QL, similarities_QL.max(axis=1))
    similarities_QX = queries_QD @ support_XD.T
    nearest_QK = np.argsort(-similarities_QX, axis=1, kind="stable")[:, : options.k]
    similarities_QK = np.take_along_axis(similarities_QX, nearest_QK, axis=1)
    shares_QL = np.zeros((len(queries_QD), label_count))
    places = (np.arange(len(queries_QD))[:, None], codes_X[nearest_QK])
    np.add.at(shares_QL, places, heads.softmax(similarities_QK, options.temperature))
    return Scores(shares_QL, similarities_QK[:, 0])


def play(
    embeddings_ND: NDArray[np.float32], episodes: Episodes, options: ClassifyOptions
) -> Played:
    """The head's answers in every episode. Ties go to the lower class id."""
    answers = [_answers(embeddings_ND, episodes, n, options) for n in range(len(episodes))]
    return Played(*(np.stack(parts) for parts in zip(*answers, strict=True)))


def _answers(
    embeddings_ND: NDArray[np.float32], episodes: Episodes, number: int, options: ClassifyOptions
) -> tuple[NDArray[Any], ...]:
    """The fields of Played for one episode."""
    class_ids_L, query_LQ = episodes.class_ids_EL[number], episodes.query_ELQ[number]
    n_way, n_shot = episodes.support_ELS[number].shape
    asked_rows = np.concatenate([query_LQ.ravel(), episodes.unknown_EM[number]])
    said = scores(
        embeddings_ND[episodes.support_ELS[number].ravel()],
        np.repeat(np.arange(n_way), n_shot),
        embeddings_ND[asked_rows],
        options,
    )
    known_QL = said.scores_QL[: query_LQ.size]
    return (
        np.repeat(class_ids_L, query_LQ.shape[1]),
        class_ids_L[known_QL.argmax(axis=1)],
        known_QL.max(axis=1),
        said.similarity_Q[: query_LQ.size],
        said.similarity_Q[query_LQ.size :],
    )
