"""Findings by hand for tests of the report, and a reader that says what a page holds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from exemplar_training.evaluation.episodes import sample
from exemplar_training.evaluation.run import outcomes_of
from exemplar_training.evaluation.trial import Drawn, Trial
from exemplar_training.report.findings import Findings, Subject
from training_images import squares

HOSTILE = ("</td><script>alert(1)</script>", "$body & <b>", 'a "quote"', "f\udcffr", "é", "x" * 128)
VOID = {"meta", "img", "br", "link"}


def trial(data=Path("nowhere"), **changes):
    asked = {"n_way": 3, "n_shots": (1, 2), "n_query": 3, "episodes": 20, "seed": 0}
    return Trial(str(data), Path("nowhere"), None, **{**asked, **changes})


def clouds(class_ids_N, spread, seed=0):
    """Unit vectors around a direction of its own for each class."""
    rng = np.random.default_rng(seed)
    rows_ND = np.eye(8)[class_ids_N] + spread * rng.normal(size=(len(class_ids_N), 8))
    return (rows_ND / np.linalg.norm(rows_ND, axis=1, keepdims=True)).astype(np.float32)


def findings(folder, names=HOSTILE, spreads=(0.3, 0.6), count=48):
    """Images of six classes in a plain folder; the first subject is the less spread one."""
    images = replace(squares(count), class_names=names)
    asked = trial(folder)
    drawn = Drawn(asked, images, 0, 0, [sample(images, spec) for spec in asked.specs])
    subjects = [
        _subject(name, clouds(images.class_ids_N, spread, seed), drawn)
        for seed, (name, spread) in enumerate(zip(("new<i>/1", "old/1"), spreads, strict=True))
    ]
    return Findings(drawn, subjects)


def _subject(name, embeddings_ND, drawn):
    return Subject(name, None, embeddings_ND, outcomes_of(name, embeddings_ND, drawn))


class Page(HTMLParser):
    """What a page holds; refuses one whose tags do not match.

    `tables` is caption -> rows of cell texts, `tags` tag -> attributes of each, `words` all text.
    """

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tables, self.tags, self.words = {}, defaultdict(list), ""
        self._open, self._caption, self._rows = [], "", []
        self.feed(page.decode("utf-8"))
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags[tag].append(dict(attributes))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self._caption, self._rows = "", []
        if tag == "tr":
            self._rows.append([])
        if tag in {"td", "th"}:
            self._rows[-1].append("")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag
        if tag == "table":
            self.tables[self._caption] = self._rows

    def handle_data(self, data):
        self.words += data
        if "caption" in self._open:
            self._caption += data
        elif {"td", "th"} & set(self._open):
            self._rows[-1][-1] += data

    def table(self, start: str) -> list[list[str]]:
        """The rows of the table whose caption starts so."""
        (rows,) = [rows for caption, rows in self.tables.items() if caption.startswith(start)]
        return rows
