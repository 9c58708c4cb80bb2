"""A study's result as tables to read and as JSON to keep."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from exemplar_training.adaptation.domains import PLAIN
from exemplar_training.config_file import flat
from exemplar_training.spread import Spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exemplar_training.adaptation.study import Study
    from exemplar_training.adaptation.trials import Result, Row

_CLASSES = 12  # more do not fit beside each other
_NAME = 30  # characters


def as_json(study: Study, result: Result, class_names: Sequence[str]) -> dict[str, Any]:
    return {"study": flat(study), "class_names": list(class_names), **asdict(result)}


def tables(result: Result, class_names: Sequence[str]) -> str:
    """Percent right by method and variant of the target, recalls where they fit, and the choice.

    Mean +- standard deviation over the seeds. "-": not asked. "*": the chosen candidate.
    """
    names = list(dict.fromkeys(row.name for row in result.rows))
    variants = list(dict.fromkeys(row.variant for row in result.rows))
    by_place = {(row.name, row.variant): row for row in result.rows}
    lines = ["percent right".ljust(_NAME) + "".join(f"{each:>15}" for each in variants)]
    for name in names:
        cells = [_told(by_place.get((name, variant))) for variant in variants]
        lines.append(f"{name:<{_NAME}}" + "".join(f"{cell:>15}" for cell in cells))
    if len(class_names) <= _CLASSES:
        lines += ["", "recall".ljust(_NAME) + "".join(f"{each:>8.7}" for each in class_names)]
        lines += [_recalls(by_place[name, PLAIN]) for name in names]
    return "\n".join([*lines, "", "criterion, at the first seed", *_choices(result)])


def _choices(result: Result) -> list[str]:
    return [
        f"{'*' if each.settings == result.chosen[each.method] else ' '}{each.criterion:6.3f}  "
        f"{each.method} {each.settings}"
        for each in result.candidates
    ]


def _told(row: Row | None) -> str:
    if row is None:
        return "-"
    return Spread(tuple(each.accuracy for each in row.scores)).percent()


def _recalls(row: Row) -> str:
    mean_C = 100 * np.mean([each.recall_C for each in row.scores], axis=0)
    return f"{row.name:<{_NAME}}" + "".join(f"{each:>8.1f}" for each in mean_C)
