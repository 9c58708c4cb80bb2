"""Answers as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from exemplar.evaluation import Accuracy, Evaluation


def table(head: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Columns as wide as their widest cell."""
    cells = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)


def told(found: Evaluation) -> str:
    """What an evaluation says, and which exemplars to look at."""
    right = f"answered right by the others: {_share(found.accuracy)}"
    parts = [
        f"{found.exemplar_count} exemplars, head {found.head}; {right}",
        table(
            ["label", "exemplars", "recall", "precision"],
            (
                (e.label, e.exemplar_count, _share(e.recall), _share(e.precision))
                for e in found.labels
            ),
        ),
    ]
    if found.suspects:
        rows = ((s.exemplar_id, s.label, s.suggested_label) for s in found.suspects)
        likely = table(["exemplar", "label", "looks like"], rows)
        parts.append(f"likely mislabelled, the likeliest first:\n{likely}")
    return "\n\n".join(parts)


def _share(accuracy: Accuracy | None) -> str:
    if accuracy is None:
        return "-"
    return f"{accuracy.value:.0%} ({accuracy.low:.0%} to {accuracy.high:.0%})"
