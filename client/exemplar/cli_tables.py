"""Answers as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from exemplar.evaluation import Accuracy, Duplicate, Evaluation


def table(head: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Columns as wide as their widest cell."""
    cells = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)


def told(found: Evaluation) -> str:
    """What an evaluation says, and which exemplars to look at."""
    right = f"answered right by the others: {_share(found.accuracy)}"
    return "\n\n".join(
        [
            f"{found.exemplar_count} exemplars, head {found.head}; {right}",
            _labels(found),
            *_titled("labels that need more exemplars:", _needs(found)),
            *_titled("likely mislabelled, the likeliest first:", _suspects(found)),
            *_titled("nearly the same image, the closest first:", _duplicates(found)),
            *_titled("answered with another label, the most frequent first:", _confusions(found)),
        ]
    )


def _titled(title: str, text: str) -> list[str]:
    """Nothing where the table has no rows."""
    return [f"{title}\n{text}"] if "\n" in text else []


def _labels(found: Evaluation) -> str:
    rows = (
        (e.label, e.exemplar_count, _share(e.recall), _share(e.precision)) for e in found.labels
    )
    return table(["label", "exemplars", "recall", "precision"], rows)


def _needs(found: Evaluation) -> str:
    rows = (
        (e.label, e.exemplar_count, e.exemplars_needed or "-", e.advice)
        for e in found.labels
        if e.exemplars_needed or e.advice
    )
    return table(["label", "exemplars", "needs", "why"], rows)


def _suspects(found: Evaluation) -> str:
    rows = (
        (s.exemplar_id, s.label, s.suggested_label, f"{s.suspicion:.2f}") for s in found.suspects
    )
    return table(["exemplar", "label", "looks like", "suspicion"], rows)


def _duplicates(found: Evaluation) -> str:
    rows = (
        (d.exemplar_id, d.other_exemplar_id, _pair(d), f"{d.similarity:.3f}")
        for d in found.duplicates
    )
    return table(["exemplar", "other", "label", "similarity"], rows)


def _pair(pair: Duplicate) -> str:
    if pair.is_contradiction:
        return f"{pair.label} and {pair.other_label}: one is wrong"
    return pair.label


def _confusions(found: Evaluation) -> str:
    rows = ((c.label, c.answer, c.exemplar_count) for c in found.confusions)
    return table(["label", "answered", "exemplars"], rows)


def _share(accuracy: Accuracy | None) -> str:
    if accuracy is None:
        return "-"
    return f"{accuracy.value:.0%} ({accuracy.low:.0%} to {accuracy.high:.0%})"
