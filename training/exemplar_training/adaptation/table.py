"""A study's result as tables to read and as JSON to keep."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from exemplar_training.adaptation.domains import PLAIN
from exemplar_training.config_file import flat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exemplar_training.adaptation.study import Study
    from exemplar_training.adaptation.trials import Result, Row

_CLASSES = 12  # more do not fit beside each other


def as_json(study: Study, result: Result, class_names: Sequence[str]) -> dict[str, Any]:
    return {"study": flat(study), "class_names": list(class_names), **asdict(result)}


def tables(result: Result, class_names: Sequence[str]) -> str:
    """Percent right by method and variant of the target; recall of each class where they fit.

    Mean +- standard deviation over the seeds. "-": not asked.
    """
    names = list(dict.fromkeys(row.name for row in result.rows))
    variants = list(dict.fromkeys(row.variant for row in result.rows))
    by_place = {(row.name, row.variant): row for row in result.rows}
    lines = ["percent right".ljust(30) + "".join(f"{each:>15}" for each in variants) + "  settings"]
    for name in names:
        cells = [_told(by_place.get((name, variant))) for variant in variants]
        lines.append(f"{name:<30}" + "".join(f"{c:>15}" for c in cells) + _settings(result, name))
    if len(class_names) <= _CLASSES:
        lines += ["", "recall, plain".ljust(30) + "".join(f"{each:>8.7}" for each in class_names)]
        lines += [_recalls(by_place[name, PLAIN]) for name in names]
    return "\n".join(lines)


def _told(row: Row | None) -> str:
    if row is None:
        return "-"
    percents = 100 * np.array([each.accuracy for each in row.scores])
    spread = percents.std(ddof=1) if len(percents) > 1 else np.nan
    return f"{percents.mean():.1f} +- {spread:.1f}"


def _settings(result: Result, name: str) -> str:
    """The chosen candidate's, with its criterion where there were others."""
    tried = [each for each in result.candidates if each.method == name]
    told = [
        f"{'*' if each.settings == result.chosen[name] else ''}"
        f"{each.settings or 'shared'} ({each.criterion:.3f})"
        for each in tried
    ]
    return "  " + " | ".join(told) if told else ""


def _recalls(row: Row) -> str:
    mean_C = 100 * np.mean([each.recall_C for each in row.scores], axis=0)
    return f"{row.name:<30}" + "".join(f"{each:>8.1f}" for each in mean_C)
