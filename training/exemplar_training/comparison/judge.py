"""Backbones on the judging images: embedded, and asked in the same episodes. Equal ones only once.

Shapes: N images, D dim.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from exemplar_training.comparison.study import column_of
from exemplar_training.embedder import Embedder
from exemplar_training.evaluation.embeddings import raw_pixels
from exemplar_training.evaluation.heads import HEADS, head_name, play
from exemplar_training.evaluation.run import RAW_PIXELS
from exemplar_training.evaluation.trial import memory_advice
from exemplar_training.files import replace_file
from exemplar_training.fit.answers import embedded
from exemplar_training.fit.build import UNTRAINED, backbone_of
from exemplar_training.fit.images import RunImages
from exemplar_training.fit.trained import weights_hash

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from exemplar_training.backbones import Backbone
    from exemplar_training.config import ModelConfig
    from exemplar_training.evaluation.trial import Drawn

    Accuracies = dict[str, float]  # the share of right answers by column

FILE = "judged.json"


class Judge:
    """What was judged before is read from OUT/judged.json and kept there. Used by one thread."""

    def __init__(self, drawn: Drawn, out: Path) -> None:
        self._drawn, self._path = drawn, out / FILE
        self._facts = _facts(drawn)
        self._known = _read(self._path, self._facts)

    def of(self, backbone: Backbone, told: str) -> Accuracies:
        """Of the backbone as an export of it would answer; `told` names the progress bar."""
        size, embedder = backbone.spec.input_size, Embedder(backbone)
        weights = weights_hash(embedder.state_dict())
        key = hashlib.sha256(f"{weights} {size} {embedder.power}".encode()).hexdigest()
        return self._once(key, lambda: embedded(backbone, self._drawn.images, told))

    def of_raw_pixels(self) -> Accuracies:
        return self._once(RAW_PIXELS, lambda: raw_pixels(self._drawn.images))

    def _once(self, key: str, embed: Callable[[], NDArray[np.float32]]) -> Accuracies:
        if key not in self._known:
            with memory_advice(self._drawn):
                self._known[key] = self._accuracies(embed())
            content = {"trial": self._facts, "accuracies": self._known}
            replace_file(self._path, (json.dumps(content, indent=1) + "\n").encode())
        return self._known[key]

    def _accuracies(self, embeddings_ND: NDArray[np.float32]) -> Accuracies:
        shots = zip(self._drawn.trial.n_shots, self._drawn.episodes, strict=True)
        return {
            column_of(head_name(head), n_shot): float(
                play(embeddings_ND, episodes, head).accuracy_E.mean()
            )
            for n_shot, episodes in shots
            for head in HEADS
        }


def untrained(model: ModelConfig, seed: int) -> tuple[str, Backbone]:
    """The network of `model` with the random weights of the seed, after its name."""
    plain = replace(model, weights=UNTRAINED, init="", pooled=(), adapter=0, adapter_width=0)
    backbone = backbone_of(plain, seed)
    millions = sum(each.numel() for each in backbone.trunk.parameters()) / 1e6
    name = f"untrained {model.backbone}, {backbone.spec.input_size} px, {millions:.3g}M"
    return name, backbone


def _facts(drawn: Drawn) -> list[str]:
    """What figures of this trial hang on: its numbers, labels and files, not where they lie."""
    files = hashlib.sha256()
    for file in drawn.images.files:
        files.update(hashlib.sha256(file).digest())
    labels = RunImages(drawn.images, None).sha256
    return [repr(replace(drawn.trial, root=Path())), labels, files.hexdigest()]


def _read(path: Path, facts: list[str]) -> dict[str, Accuracies]:
    """Nothing where it is not there, not whole, or of another trial."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    known: dict[str, Accuracies] = content["accuracies"] if content["trial"] == facts else {}
    return known
