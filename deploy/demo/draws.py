"""Accuracy over many draws of a few emoji each: every draw a support set of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import raw_pixels
from console import DemoError
from split import LabelledImage, Split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emoji import Emoji, Renderer

    from exemplar import Client, Embedding

IN_FLIGHT = 4  # draws at a time: the store merges what is written together into one commit


@dataclass(frozen=True)
class Episode:
    """The labels of one draw: Twemoji's teach, OpenMoji's ask, one image each."""

    name: str
    emoji: tuple[Emoji, ...]


def draw(emoji: Sequence[Emoji], n_way: int, draws: int, seed: int) -> list[Episode]:
    """`draws` episodes, each of `n_way` labels drawn uniformly without replacement."""
    generator = np.random.default_rng(seed)
    return [
        Episode(
            f"draw-{number}",
            tuple(emoji[i] for i in generator.choice(len(emoji), n_way, replace=False)),
        )
        for number in range(draws)
    ]


@dataclass(frozen=True)
class DrawnImages:
    """Every image of the episodes, by label, in the order of `labels`; each held once."""

    labels: tuple[str, ...]
    taught: tuple[bytes, ...]
    asked: tuple[bytes, ...]


def render(episodes: Sequence[Episode], renderer: Renderer) -> DrawnImages:
    drawn = sorted({emoji for e in episodes for emoji in e.emoji}, key=lambda emoji: emoji.label)
    return DrawnImages(
        tuple(emoji.label for emoji in drawn),
        tuple(renderer.png(emoji.twemoji) for emoji in drawn),
        tuple(renderer.png(emoji.openmoji) for emoji in drawn),
    )


def as_split(episodes: Sequence[Episode], images: DrawnImages) -> Split:
    """The episodes' labels together: one image of each teaches, one asks."""
    labels = list(dict.fromkeys(emoji.label for e in episodes for emoji in e.emoji))
    taught = dict(zip(images.labels, images.taught, strict=True))
    asked = dict(zip(images.labels, images.asked, strict=True))
    return Split(
        tuple(LabelledImage(label, taught[label], f"Twemoji's {label}") for label in labels),
        tuple(LabelledImage(label, asked[label], f"OpenMoji's {label}") for label in labels),
    )


def served_accuracies(
    client: Client, episodes: Sequence[Episode], images: DrawnImages
) -> list[float]:
    """The service's share of right answers, draw by draw.

    Each image is embedded once; the draws then teach and ask with the embeddings.
    """
    embeddings = client.embed([*images.taught, *images.asked], progress=True)
    taught = dict(zip(images.labels, embeddings, strict=False))
    asked = dict(zip(images.labels, embeddings[len(images.labels) :], strict=True))
    with ThreadPoolExecutor(IN_FLIGHT) as threads:
        return list(threads.map(lambda e: _served_accuracy(client, e, taught, asked), episodes))


def raw_accuracies(episodes: Sequence[Episode], images: DrawnImages) -> list[float]:
    """The same draws, answered by raw pixels."""
    row = {label: i for i, label in enumerate(images.labels)}
    taught_NP = np.stack([raw_pixels.pixels(image) for image in images.taught])
    asked_QP = np.stack([raw_pixels.pixels(image) for image in images.asked])
    accuracies = []
    for episode in episodes:
        labels = [emoji.label for emoji in episode.emoji]
        rows = [row[label] for label in labels]
        accuracies.append(raw_pixels.accuracy(taught_NP[rows], labels, asked_QP[rows], labels))
    return accuracies


def interval(accuracies: Sequence[float]) -> float:
    """Half the 95 % interval of the mean over draws: 1.96 standard errors."""
    return float(1.96 * np.std(accuracies, ddof=1) / len(accuracies) ** 0.5)


def _served_accuracy(
    client: Client,
    episode: Episode,
    taught: dict[str, Embedding],
    asked: dict[str, Embedding],
) -> float:
    labels = [emoji.label for emoji in episode.emoji]
    client.create_support_set(episode.name)
    added = client.add_exemplars(episode.name, [(label, taught[label]) for label in labels])
    answers = client.classify(
        episode.name, [asked[label] for label in labels], head="prototype", neighbors=False
    )
    client.delete_support_set(episode.name)
    for error in (*added.errors.values(), *(answer.error for answer in answers)):
        if error:
            raise DemoError(f"{episode.name}: {error}")
    return sum(a.label == label for a, label in zip(answers, labels, strict=True)) / len(labels)
