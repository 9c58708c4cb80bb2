"""Teaches a support set images and asks it about others, through the SDK, as any caller would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console import DemoError, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from split import LabelledImage, Split

    from exemplar import Answer, Client

SHOWN_ROWS = 20
_LABEL_WIDTH = 30


def teach_and_ask(client: Client, support_set: str, split: Split) -> list[Answer]:
    """One answer a query, in order. The support set is new and stays.

    Raises:
        DemoError: an image could not be used; says which and why.
    """
    client.create_support_set(support_set)
    added = client.add_exemplars(
        support_set, [(e.label, e.image) for e in split.taught], progress=True
    )
    for position, error in added.errors.items():
        raise DemoError(f"{split.taught[position].origin}: {error}")
    answers = client.classify(
        support_set, [query.image for query in split.asked], head="prototype", progress=True
    )
    for query, answer in zip(split.asked, answers, strict=True):
        if answer.error:
            raise DemoError(f"{query.origin}: {answer.error}")
    return answers


def share_right(queries: Sequence[LabelledImage], answers: Sequence[Answer]) -> float:
    right = sum(a.label == query.label for query, a in zip(queries, answers, strict=True))
    return right / len(queries)


def show(queries: Sequence[LabelledImage], answers: Sequence[Answer]) -> None:
    """A table of some queries, evenly taken, and what the service answered."""
    say(f"    {'query':<{_LABEL_WIDTH}} {'answer':<{_LABEL_WIDTH}} score")
    count = min(SHOWN_ROWS, len(queries))
    rows = [number * len(queries) // count for number in range(count)]
    for query, answer in ((queries[row], answers[row]) for row in rows):
        mark = "right" if answer.label == query.label else "WRONG"
        say(f"    {_cut(query.label)} {_cut(answer.label)} {answer.score:5.2f} {mark}")


def _cut(label: str) -> str:
    return f"{label[:_LABEL_WIDTH]:<{_LABEL_WIDTH}}"
