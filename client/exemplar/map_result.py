"""A support set's map as the caller holds it: the points, their origin, and a page to look at."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Literal

from exemplar.answers import Answer
from exemplar.embedding import ItemError, item_error_from_pb
from exemplar.enums import enum_name
from exemplar.errors import FailedPreconditionError, InvalidArgumentError, ServerError
from exemplar.map_page import render
from exemplar.page import frame
from exemplar.v1 import map_pb2

_Measure = Literal["trustworthiness", "label_agreement", "embedding_label_agreement"]
# Neighbors that vote in the label agreements (MapSummary in proto/exemplar/v1/map.proto).
_VOTERS = 10


@dataclass(frozen=True)
class MapPosition:
    """Where a query lies on a map. Where `error` is set, the rest says nothing."""

    x: float = 0.0
    y: float = 0.0
    error: ItemError | None = None


@dataclass(frozen=True)
class MapPoint:
    """`thumbnail` is a JPEG of at most 64 x 64 pixels, or empty."""

    x: float
    y: float
    label: str
    exemplar_id: str
    thumbnail: bytes = b""


@dataclass(frozen=True)
class PlacedQuery:
    """A query at its place on a map; `label` is empty where it was not classified.

    `thumbnail` is a JPEG, PNG or WebP file, best of about 64 x 64 pixels, or empty.
    """

    x: float
    y: float
    name: str
    label: str = ""
    score: float = 0.0
    probability: float | None = None
    is_unknown: bool = False
    thumbnail: bytes = b""

    @classmethod
    def answered(
        cls, name: str, position: MapPosition, answer: Answer, thumbnail: bytes = b""
    ) -> PlacedQuery:
        """Where Client.place_on_map put it and with what Client.classify said of it."""
        said = (answer.label, answer.score, answer.probability, answer.is_unknown)
        return cls(position.x, position.y, name, *said, thumbnail)


@dataclass(frozen=True)
class MapProgress:
    """`phase` is queued, early_exaggeration, optimization or delivery."""

    phase: str
    iteration: int
    total_iterations: int
    kl_divergence: float

    def __str__(self) -> str:
        phase = self.phase.replace("_", " ")
        return f"{phase} {self.iteration}/{self.total_iterations}, KL {self.kl_divergence:.3f}"


@dataclass(frozen=True)
class MapResult:
    """All points of a map. Only differences of positions mean something.

    `perplexity` is the one that was used; 0 where there were too few points for t-SNE.

    Attributes:
        trustworthiness: how far neighbors on the map are neighbors among the embeddings, in [0, 1].
        label_agreement: share of the points whose neighbors on the map mostly have their label.
        embedding_label_agreement: the same among the embeddings: what a perfect map would have.
        queries: drawn over the exemplars; see with_queries.
        suspects: exemplar id to the label that it looks like; see with_suspects.
    """

    support_set: str
    points: tuple[MapPoint, ...]
    revision: int
    fingerprint: str
    perplexity: float
    kl_divergence: float
    trustworthiness: float | None = None
    label_agreement: float | None = None
    embedding_label_agreement: float | None = None
    queries: tuple[PlacedQuery, ...] = ()
    suspects: Mapping[str, str] = field(default_factory=dict)

    def with_queries(self, queries: Iterable[PlacedQuery]) -> MapResult:
        """This map with these queries on it, in place of those before."""
        return replace(self, queries=tuple(queries))

    def with_answers(
        self,
        names: Iterable[str],
        positions: Iterable[MapPosition],
        answers: Iterable[Answer],
    ) -> MapResult:
        """with_queries, of the same images placed and classified; none where there is no place."""
        placed = zip(names, positions, answers, strict=True)
        return self.with_queries(PlacedQuery.answered(*q) for q in placed if q[1].error is None)

    def with_suspects(self, suspects: Mapping[str, str]) -> MapResult:
        """This map with these exemplars marked; ids that are not on it are passed over."""
        return replace(self, suspects=dict(suspects))

    @property
    def labels(self) -> list[str]:
        """Of exemplars and queries, sorted; "" is the label of things that have none."""
        answered = {query.label for query in self.queries if query.label}
        return sorted({point.label for point in self.points} | answered)

    @property
    def is_agreement_telling(self) -> bool:
        """Whether the label agreements say how good the map is.

        Where the typical label has too few exemplars for all voters to be of its own, they say
        mostly that it is small: a label of two is always outvoted. Pages and pictures leave them
        out then.
        """
        counts = Counter(point.label for point in self.points if point.label)
        return bool(counts) and median(counts.values()) > _VOTERS

    def save_html(self, path: str | os.PathLike[str]) -> None:
        """One page that needs no network."""
        Path(path).write_text(self.to_html(), encoding="utf-8")

    def to_html(self) -> str:
        return render(self)

    def _repr_html_(self) -> str:
        """The page in a frame, for notebooks."""
        return frame(self.to_html())

    def save_png(self, path: str | os.PathLike[str]) -> None:
        """A picture for reports.

        Raises:
            FailedPreconditionError: the extra "pictures" is not installed.
        """
        _picture_saver()(self, path)


_Saver = Callable[[MapResult, str | os.PathLike[str]], None]


def saver_for(path: Path) -> _Saver:
    """What saves a map there: a page or a picture, by the suffix.

    Raises before there is a map to save, which may take minutes, as the saving would.
    """
    if path.suffix.lower() == ".png":
        return _picture_saver()
    if path.suffix.lower() in {".html", ".htm"}:
        return MapResult.save_html
    raise InvalidArgumentError(f"--out: expected FILE.html or FILE.png, got {str(path)!r}")


def _picture_saver() -> _Saver:
    try:
        from exemplar.map_picture import save  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        advice = f"{package} is missing: pip install 'exemplar[pictures]'"
        raise FailedPreconditionError(advice) from error
    return save


class MapCollector:
    """Takes the events of one map's stream, in order, and then makes its result."""

    def __init__(self, support_set: str, on_progress: Callable[[MapProgress], object]) -> None:
        self._support_set = support_set
        self._on_progress = on_progress
        self._points: list[MapPoint] = []
        self._summaries: list[map_pb2.MapSummary] = []

    def take(self, event: map_pb2.ComputeMapResponse | map_pb2.ComputeMapOfItemsResponse) -> None:
        match event.WhichOneof("event"):
            case "progress":
                self._on_progress(_progress(event.progress))
            case "points":
                self._points.extend(_point(point) for point in event.points.points)
            case "summary":
                self._summaries.append(event.summary)

    def result(self) -> MapResult:
        if not self._summaries:
            raise ServerError("the map ended without its summary")
        summary = self._summaries[-1]
        if summary.point_count != len(self._points):
            raise ServerError(
                f"points: expected {summary.point_count} as announced, got {len(self._points)}"
            )
        return MapResult(
            support_set=self._support_set,
            points=tuple(self._points),
            revision=summary.revision,
            fingerprint=summary.fingerprint,
            perplexity=summary.perplexity,
            kl_divergence=summary.kl_divergence,
            trustworthiness=_measured(summary, "trustworthiness"),
            label_agreement=_measured(summary, "label_agreement"),
            embedding_label_agreement=_measured(summary, "embedding_label_agreement"),
        )


def _measured(summary: map_pb2.MapSummary, name: _Measure) -> float | None:
    return getattr(summary, name) if summary.HasField(name) else None


def _progress(pb: map_pb2.MapProgress) -> MapProgress:
    phase = enum_name(map_pb2.MapPhase.DESCRIPTOR, pb.phase, "MAP_PHASE_").lower()
    return MapProgress(phase, pb.iteration, pb.total_iterations, pb.kl_divergence)


def _point(pb: map_pb2.MapPoint) -> MapPoint:
    return MapPoint(pb.x, pb.y, pb.label, pb.exemplar_id, pb.thumbnail)


def position_from_pb(pb: map_pb2.PlaceOnMapResult) -> MapPosition:
    if pb.HasField("error"):
        return failed_position(item_error_from_pb(pb.error))
    return MapPosition(pb.position.x, pb.position.y)


def failed_position(error: ItemError) -> MapPosition:
    return MapPosition(error=error)
