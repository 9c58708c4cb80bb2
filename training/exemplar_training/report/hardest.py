"""The queries that are answered wrong with the highest scores, and what they were taken for.

Shapes: E episodes, Q queries of an episode, X exemplars.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.backends.images import ImageLimits, thumbnail
from exemplar_training.report.markup import description, element, paragraph, picture, section

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from exemplar_training.report.findings import Findings

MOST_SHOWN = 12
_LIMITS = ImageLimits()


@dataclass(frozen=True)
class Mistake:
    """One wrong answer to the image at `row`, whose nearest exemplar was the one at `neighbor`.

    `wrong` of the `asked` times that the image was a query it was answered wrong.
    """

    row: int
    neighbor: int
    answer: int
    score: float
    similarity: float
    before: int  # what was answered before, in the same episode
    wrong: int
    asked: int


def mistakes(found: Findings, most: int) -> list[Mistake]:
    """The surest mistakes, one an image: by score, then by similarity, then in their order."""
    played = found.after.main.played
    rows_EQ = found.main_episodes.query_ELQ.reshape(played.truth_EQ.shape)
    is_wrong_EQ = played.truth_EQ != played.answer_EQ
    places = np.argwhere(is_wrong_EQ)
    keys = (-played.similarity_EQ[is_wrong_EQ], -played.score_EQ[is_wrong_EQ])
    surest: dict[int, tuple[int, int]] = {}
    for episode, query in places[np.lexsort(keys)].tolist():
        if len(surest) == most:
            break
        surest.setdefault(int(rows_EQ[episode, query]), (episode, query))
    wrong_N, asked_N = (
        np.bincount(rows, minlength=len(found.images))
        for rows in (rows_EQ[is_wrong_EQ], rows_EQ.ravel())
    )
    return [
        _mistake(found, row, place, int(wrong_N[row]), int(asked_N[row]))
        for row, place in surest.items()
    ]


def hardest(found: Findings) -> Element:
    shown = mistakes(found, MOST_SHOWN)
    if not shown:
        return section("Hardest images", paragraph("No query was answered wrong."))
    cards = [_card(found, mistake) for mistake in shown]
    return section(
        "Hardest images",
        paragraph(
            f"Wrong answers of {found.after.name} with the highest scores, one an image "
            f"({found.main_told}). Left the query, right its nearest exemplar in that episode. "
            f"Before: what {found.before.name} answered there. A query whose neighbor looks right "
            "may be labelled wrong."
        ),
        element("ul", {"class": "cards"}, *cards),
    )


def _mistake(found: Findings, row: int, place: tuple[int, int], wrong: int, asked: int) -> Mistake:
    played, embeddings_ND = found.after.main.played, found.after.embeddings_ND
    support_X = found.main_episodes.support_ELS[place[0]].ravel()
    similarities_X = embeddings_ND[support_X] @ embeddings_ND[row]
    nearest = int(similarities_X.argmax())
    return Mistake(
        row,
        int(support_X[nearest]),
        int(played.answer_EQ[place]),
        float(played.score_EQ[place]),
        float(similarities_X[nearest]),
        int(found.before.main.played.answer_EQ[place]),
        wrong,
        asked,
    )


def _card(found: Findings, mistake: Mistake) -> Element:
    names, class_ids_N = found.images.class_names, found.images.class_ids_N
    truth, near = (names[class_ids_N[row]] for row in (mistake.row, mistake.neighbor))
    answer, before = names[mistake.answer], names[mistake.before]
    pictures = element(
        "div",
        {"class": "pair"},
        _thumbnail(found, mistake.row, f"query, image {mistake.row}: {truth}"),
        _thumbnail(found, mistake.neighbor, f"nearest exemplar, image {mistake.neighbor}: {near}"),
    )
    facts = {
        "Truth": truth,
        "Answer": f"{answer}, score {mistake.score:.2f}",
        "Nearest": f"{near}, similarity {mistake.similarity:.3f}",
        "Before": "right" if mistake.before == class_ids_N[mistake.row] else before,
        "Wrong": f"{mistake.wrong} of {mistake.asked} times asked",
    }
    return element("li", {}, pictures, description(facts))


def _thumbnail(found: Findings, row: int, words: str) -> Element:
    return picture(thumbnail(found.images.files[row], _LIMITS), words)
