"""What a client remembers of its server: its limits, its epoch and the revisions it has seen."""

from __future__ import annotations

import threading
from typing import TypeVar

from exemplar.answers import Limits, ServerInfo, limits_from_pb, server_info_from_pb
from exemplar.calls import GET_SERVER_INFO, Plan, send
from exemplar.errors import ExemplarError
from exemplar.v1 import admin_pb2

T = TypeVar("T")


class Memory:
    """Any thread may use it.

    Reads carry the highest revision seen of their support set, so that a caller sees its own
    writes on every replica.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._revisions: dict[str, int] = {}
        self._store_epoch = ""
        self.limits: Limits | None = None

    def revision(self, support_set: str) -> int:
        return self._revisions.get(support_set, 0)

    def wanted_revision(self, support_set: str, min_revision: int | None) -> int:
        return self.revision(support_set) if min_revision is None else min_revision

    def saw(self, support_set: str, revision: int) -> None:
        with self._lock:
            self._revisions[support_set] = max(self.revision(support_set), revision)

    def forget(self, support_set: str) -> None:
        with self._lock:
            self._revisions.pop(support_set, None)

    def learn(self, limits: Limits, store_epoch: str) -> None:
        """A new epoch means a store restored from a backup: revisions seen before it are void."""
        with self._lock:
            if self._store_epoch and store_epoch != self._store_epoch:
                self._revisions.clear()
            self._store_epoch = store_epoch
            self.limits = limits


def server_info(
    memory: Memory, *, timeout_seconds: float | None = None, wait_for_ready: bool = False
) -> Plan[ServerInfo]:
    response = yield from send(
        GET_SERVER_INFO,
        admin_pb2.GetServerInfoRequest(),
        timeout_seconds=timeout_seconds,
        wait_for_ready=wait_for_ready,
    )
    memory.learn(limits_from_pb(response.limits), response.store_epoch)
    return server_info_from_pb(response)


def known_limits(memory: Memory) -> Plan[Limits]:
    """Asked for once."""
    if memory.limits is None:
        return (yield from server_info(memory)).limits
    return memory.limits


def learning(memory: Memory, plan: Plan[T]) -> Plan[T]:
    """Reads by `plan`; forgets revisions that no server can reach any more.

    A server that does not reach a revision may have restored its store since: its epoch tells, and
    then the next read asks for no such revision. So the epoch is known before any revision is.
    """
    yield from known_limits(memory)
    try:
        return (yield from plan)
    except ExemplarError as error:
        if error.reason == "REVISION_NOT_REACHED":
            yield from server_info(memory)
        raise
