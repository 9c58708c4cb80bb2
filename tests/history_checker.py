"""Holds a history of calls against the service's promises.

Revisions order everything: under one name each change has its own, a deletion too, they have no
holes, and a support set made under a used name starts above the last one. So what must be there
at each revision can be computed, and each answer held against it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from call_history import ADD, CREATE, DELETE, LIST, NOBODY_KNOWS, OK, REMOVE, Call, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LOST, RESURRECTED, DUPLICATE = "lost", "resurrected", "duplicate"
WENT_BACK, UNEXPLAINED = "went back", "unexplained"


@dataclass(frozen=True)
class Violation:
    kind: str
    what: str
    call: Call | None = None


def violations(calls: Sequence[Call], *, one_server: bool = True) -> list[Violation]:
    """With several servers reads may be stale: `min_revision` says how stale at most."""
    by_name: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        by_name[call.name].append(call)
    found: list[Violation] = []
    for name in sorted(by_name):
        timeline = Timeline(by_name[name])
        found += timeline.check()
        found += went_back(by_name[name], one_server=one_server)
        found += missing(by_name[name], timeline) if one_server else []
    return found


@dataclass
class Life:
    """One support set under a name. It surely existed between `since` and `until`.

    `first` is the first revision that is known of: whoever asked for it may not have been told.
    """

    first: int
    taken: set[int]
    since: float = math.inf
    until: float = math.inf

    def holes(self) -> int:
        return max(self.taken) - self.first + 1 - len(self.taken)


class Timeline:
    """One name, walked from its first revision to its last."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._calls = calls
        self._ids = {row.label: row.exemplar_id for c in calls for row in c.rows if row.label}
        self._floating = [*filter(_is_floating, calls)]
        self._known = [*filter(_is_placed, calls), *self._observed()]
        self._maybe_added = {row.label for c in self._floating for row in c.rows if c.kind == ADD}
        self._maybe_removed = _ids(row for c in self._floating for row in c.rows if not row.label)
        self._rows: dict[str, str] = {}  # label by exemplar id
        self._gone: set[str] = set()
        self.lives: list[Life] = []
        self._is_open = False

    def check(self) -> list[Violation]:
        found = []
        for call in sorted(self._known, key=_order):
            self._live(call)
            found += self._step(call)
        return [*found, *self._holes()]

    def _observed(self) -> Iterator[Call]:
        """Additions that nobody answered and that a list shows: they took place, and where."""
        lists = [c for c in self._calls if c.kind == LIST]
        revisions = {row.label: row.revision for c in lists for row in c.rows}
        for call in [c for c in self._floating if c.kind == ADD]:
            seen = {revisions[row.label] for row in call.rows if row.label in revisions}
            if seen:
                self._floating.remove(call)
                yield replace(call, outcome=OK, revision=min(seen), ended=math.inf)

    def _live(self, call: Call) -> None:
        """Keeps track of when the support set was there."""
        if not self._is_open:
            self._is_open = True
            self.lives.append(Life(call.revision, {call.revision}))
        life = self.lives[-1]
        if call.is_acknowledged_write:
            life.taken.add(call.revision)
        if call.kind == DELETE:
            life.until = call.started
            self._is_open = False
        else:
            life.since = min(life.since, call.ended)

    def _step(self, call: Call) -> Iterator[Violation]:
        if call.kind == CREATE:
            yield from self._create(call)
        elif call.kind == ADD:
            yield from self._add(call)
        elif call.kind == REMOVE:
            yield from self._remove(call)
        elif call.kind == DELETE:
            yield from self._count(call)
            self._clear()
        else:
            yield from self._read(call)

    def _create(self, call: Call) -> Iterator[Violation]:
        if self._rows or self.lives[-1].first != call.revision:
            yield Violation(LOST, "made where there was one, or where it was not first", call)
            self._clear()

    def _add(self, call: Call) -> Iterator[Violation]:
        for exemplar_id in call.refused:
            if exemplar_id not in self._rows and exemplar_id not in _ids(call.rows):
                yield Violation(LOST, f"{exemplar_id} was said to be there", call)
        for row in call.rows:
            exemplar_id = row.exemplar_id or self._ids.get(row.label, row.label)
            if exemplar_id in self._rows.keys() - self._maybe_removed:
                yield Violation(LOST, f"{exemplar_id} was added where it was", call)
            self._rows[exemplar_id] = row.label
        yield from self._count(call)

    def _remove(self, call: Call) -> Iterator[Violation]:
        for exemplar_id in call.refused:
            if exemplar_id in self._rows.keys() - self._maybe_removed:
                yield Violation(LOST, f"{exemplar_id} was said not to be there", call)
        for row in call.rows:
            label = self._rows.pop(row.exemplar_id, None)
            if label is None:
                yield Violation(RESURRECTED, f"{row.exemplar_id} was removed twice", call)
            else:
                self._gone.add(label)
        yield from self._count(call)

    def _clear(self) -> None:
        self._gone.update(self._rows.values())
        self._rows.clear()

    def _count(self, call: Call) -> Iterator[Violation]:
        if call.exemplar_count is None:
            return
        least = len(self._rows.keys() - self._maybe_removed)
        if not least <= call.exemplar_count <= len(self._rows) + len(self._maybe_added):
            what = f"{call.exemplar_count} exemplars were said to be there, not {len(self._rows)}"
            yield Violation(UNEXPLAINED, what, call)

    def _read(self, call: Call) -> Iterator[Violation]:
        seen = Counter(row.label for row in call.rows if row.label not in self._maybe_added)
        expected = set(self._rows.values())
        kept = {label for i, label in self._rows.items() if i not in self._maybe_removed}
        if not call.is_part and (lost := sorted(kept - seen.keys())):
            yield Violation(LOST, f"not seen: {lost}", call)
        if twice := sorted(label for label, times in seen.items() if times > 1):
            yield Violation(DUPLICATE, f"seen twice: {twice}", call)
        if back := sorted((seen.keys() - expected) & self._gone):
            yield Violation(RESURRECTED, f"seen after they were gone: {back}", call)
        if extra := sorted(seen.keys() - expected - self._gone):
            yield Violation(UNEXPLAINED, f"seen before they were added: {extra}", call)
        yield from self._count(call)

    def _holes(self) -> Iterator[Violation]:
        """A revision that is nobody's was taken by a call that was applied twice."""
        holes = sum(life.holes() for life in self.lives)
        if holes > len(self._floating):
            yield Violation(DUPLICATE, f"{holes} revisions of {self._calls[0].name} are nobody's")
        writes = [c for c in self._known if c.is_acknowledged_write]
        taken = Counter(call.revision for call in writes)
        for revision in sorted(revision for revision, times in taken.items() if times > 1):
            yield Violation(LOST, f"revision {revision} is that of several changes")


def went_back(calls: Sequence[Call], *, one_server: bool) -> Iterator[Violation]:
    """What began after an answer must not tell of a time before it."""
    answered = sorted((c for c in calls if c.outcome == OK), key=lambda c: c.ended)
    ends, floors, floor = [], [], 0.0
    for call in answered:
        floor = max(floor, call.revision + (0.5 if call.kind == DELETE else 0))
        ends.append(call.ended)
        floors.append(floor)
    for call in answered:
        at = bisect_right(ends, call.started) - 1
        least = floors[at] if at >= 0 and (one_server or call.is_change) else call.min_revision
        if call.revision < least:
            yield Violation(WENT_BACK, f"expected revision {least} or more", call)


def missing(calls: Iterable[Call], timeline: Timeline) -> Iterator[Violation]:
    """A support set that was surely there from a call's start to its end must have been found."""
    for call in calls:
        if call.outcome == "NOT_FOUND":
            for life in timeline.lives:
                if life.since <= call.started and call.ended <= life.until:
                    yield Violation(LOST, "the support set was not found", call)


def _order(call: Call) -> tuple[int, int]:
    """At one revision: what made it, then what was told of it."""
    return call.revision, 0 if call.is_acknowledged_write else 1


def _is_floating(call: Call) -> bool:
    """Whether nobody knows if it was made.

    A retry is told that nothing is found, too, where a support set ended after it was changed.
    """
    is_open = call.outcome == NOBODY_KNOWS or (call.outcome == "NOT_FOUND" and call.tries > 1)
    return call.kind in {ADD, REMOVE} and is_open


def _is_placed(call: Call) -> bool:
    """Whether the answer says at which revision it was made. A retried creation's does not:

    it tells what the support set has come to meanwhile.
    """
    return call.outcome == OK and not (call.kind == CREATE and call.tries > 1)


def _ids(rows: Iterable[Row]) -> set[str]:
    return {row.exemplar_id for row in rows}
