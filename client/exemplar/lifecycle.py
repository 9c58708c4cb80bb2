"""What can be asked of support sets after they were filled, and what comes back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exemplar.embedding import ItemError


@dataclass(frozen=True)
class ExemplarUpdate:
    """What is to change of an exemplar; None stays as it is, `metadata` takes the place of all."""

    exemplar_id: str
    label: str | None = None
    metadata: Mapping[str, str] | None = None


# Updates, or new labels by exemplar id: what Evaluation.suggestions has.
Updates = Iterable[ExemplarUpdate] | Mapping[str, str]


@dataclass(frozen=True)
class UpdateResult:
    """`errors` is keyed by the position of the update that was not made."""

    revision: int
    errors: dict[int, ItemError]
    exemplar_count: int
