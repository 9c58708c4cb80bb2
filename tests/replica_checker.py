"""Holds a history of calls of several replicas against what the service promises of them.

What must be there at each revision is history_checker.py's; here is which revision an answer may
be of. Without a token that is any one, for a while: `lags` tells for how long.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from call_history import ADD, CLASSIFY, DELETE, OK
from history_checker import LOST, WENT_BACK, Timeline, Violation, missing, violations
from replica_clients import CHASE_SECONDS, NOT_REACHED
from replica_faults import CUT, DEAF

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from call_history import Call
    from replica_faults import Fault

# A reader that goes on so long gives up soon.
GIVEN_UP_SECONDS = CHASE_SECONDS - 0.1
HEALTHY, HINTLESS, BROKEN = "healthy", "listener cut", "another fault"
# After a fault's end: servers connect again, and a started one takes its share of the processor.
SETTLING_SECONDS = 2.0


def replica_violations(calls: Sequence[Call]) -> list[Violation]:
    return [
        *violations(calls, one_server=False),
        *_not_found(calls),
        *behind(calls, _by_token, "the client's token"),
        *behind(calls, _by_replica, "what this replica acknowledged", writes_only=True),
        *behind(calls, _by_reader, "what this replica told this client"),
        *[Violation(LOST, "never reached", c) for c in calls if c.outcome == NOT_REACHED],
    ]


def behind(
    calls: Sequence[Call],
    group: Callable[[Call], object],
    what: str,
    *,
    writes_only: bool = False,
) -> Iterator[Violation]:
    """Reads of revisions below those of answers of their group that had ended before they began.

    What `group` puts under None is in no group. Only reads are judged.
    """
    groups: dict[object, list[Call]] = defaultdict(list)
    for call in sorted(calls, key=lambda c: c.ended):
        if call.outcome == OK and group(call) is not None:
            groups[group(call)].append(call)
    for answered in groups.values():
        floors = _Floors(c for c in answered if not writes_only or c.is_acknowledged_write)
        for call in answered:
            is_held = not call.is_change and (group is not _by_token or call.min_revision)
            if is_held and call.revision < (least := floors.at(call.started)):
                yield Violation(WENT_BACK, f"{what}: expected revision {least} or more", call)


class _Floors:
    """The highest revision that was answered, at any time. A deletion's is above its last one."""

    def __init__(self, calls: Iterable[Call]) -> None:
        self._ends: list[float] = []
        self._floors: list[float] = [0.0]
        for call in calls:
            self._ends.append(call.ended)
            floor = call.revision + (0.5 if call.kind == DELETE else 0)
            self._floors.append(max(self._floors[-1], floor))

    def at(self, moment: float) -> float:
        return self._floors[bisect_right(self._ends, moment)]


def _by_token(call: Call) -> object:
    return call.client, call.name


def _by_replica(call: Call) -> object:
    return call.server, call.name


def _by_reader(call: Call) -> object:
    """A list is the store's, a classification a snapshot's: without a token each has its own."""
    return None if call.is_change else (call.client, call.server, call.name, call.kind)


def _not_found(calls: Sequence[Call]) -> Iterator[Violation]:
    """No replica may say that there is none where there surely was one."""
    by_name: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        by_name[call.name].append(call)
    for of_name in by_name.values():
        timeline = Timeline(of_name)
        timeline.check()
        yield from missing(of_name, timeline)


@dataclass(frozen=True)
class Lag:
    """Seconds from the acknowledgment of an addition to starts of reads at another replica.

    `unseen`: of the last one that did not show it, 0 where there is none. `seen`: of the first one
    that did, so the time that reads themselves take is in it.
    """

    unseen: float
    seen: float


def lags(calls: Sequence[Call], faults: Sequence[Fault]) -> dict[str, list[Lag]]:
    """How long others did not see additions, by what went on meanwhile.

    Those that were not seen before the reader gave up count as that long; those whose reader got no
    answer are left out.
    """
    by_client: dict[str, list[Call]] = defaultdict(list)
    for call in sorted(calls, key=lambda c: c.started):
        by_client[call.client].append(call)
    found: dict[str, list[Lag]] = {HEALTHY: [], HINTLESS: [], BROKEN: []}
    for own in by_client.values():
        for place, added in enumerate(own):
            if lag := _lag(added, own[place + 1 :]):
                found[_circumstances(added.ended, added.ended + lag.seen, faults)].append(lag)
    return found


def _lag(added: Call, after: Iterable[Call]) -> Lag | None:
    """None where its client did not go on to ask another replica until that showed it."""
    if added.kind != ADD or not added.is_acknowledged_write:
        return None
    unseen = 0.0
    for read in after:
        is_chasing = read.kind == CLASSIFY and read.name == added.name and not read.min_revision
        if not is_chasing or read.server == added.server or read.outcome != OK:
            return None
        since = read.started - added.ended
        if read.revision >= added.revision:
            return Lag(unseen, since)
        unseen = since
        if since > GIVEN_UP_SECONDS:
            return Lag(unseen, since)
    return None


def _circumstances(began: float, ended: float, faults: Sequence[Fault]) -> str:
    kinds = {
        fault.kind
        for fault in faults
        if fault.began <= ended and began <= fault.ended + SETTLING_SECONDS
    }
    if not kinds:
        return HEALTHY
    return HINTLESS if kinds <= {CUT, DEAF} else BROKEN
