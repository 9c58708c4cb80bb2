"""Clients of several replicas, which write and read through any of them and write down what came.

Support sets that all share are never deleted; each client makes and deletes one of its own, so
that a late try of a deletion can only be its client's. A change goes to one replica after the
other, with one request_id, until it is answered.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace

import grpc
import numpy as np

from call_history import (
    ADD,
    CLASSIFY,
    CREATE,
    DELETE,
    LIST,
    NOBODY_KNOWS,
    OK,
    REMOVE,
    Call,
    History,
    Row,
)
from history_clients import OPEN, SEND

SHARED = ("shared", "shared-too")
KINDS = (ADD, REMOVE, LIST, CLASSIFY, DELETE)
SHARES = (0.35, 0.2, 0.1, 0.3, 0.05)
FULL = 50  # exemplars in a support set: one query's neighbors are all of them
BATCH = 4  # exemplars added at once, at most
CHASED = 0.5  # of the additions: how long do others not see it?
CHASE_SECONDS = 5.0
STEP_SECONDS = 0.005
PAUSE_SECONDS = 0.03  # at most, between two things that a client does
NOT_REACHED = "REVISION_NOT_REACHED"
GIVEN_UP_SECONDS = 60.0


class Tokens:
    """The highest revision that anyone was told of, by name. Any thread may use it."""

    def __init__(self):
        self._lock = threading.Lock()
        self._revisions = defaultdict(int)

    def saw(self, name, revision):
        with self._lock:
            self._revisions[name] = max(self._revisions[name], revision)

    def of(self, name):
        with self._lock:
            return self._revisions[name]


@dataclass(frozen=True)
class Seen:
    """What all clients together saw."""

    history: History = field(default_factory=History)
    tokens: Tokens = field(default_factory=Tokens)


def own(client):
    """The name of the support set that only this client changes."""
    return f"own-{client}"


class ReplicaClient:
    """One caller, with its own random numbers; works until `over`."""

    def __init__(self, name, seed, replicas, seen, over):
        self.name = name
        self._own = own(name)
        self._random = np.random.default_rng(seed)
        self._replicas = replicas
        self._history, self._shared = seen.history, seen.tokens
        self._over = over
        self._tokens = Tokens()
        self._known = {}  # exemplar ids by the support set's name, as last seen
        self._number = 0

    def work(self):
        self._change(CREATE, self._own)
        while not self._over.is_set():
            name = str(self._random.choice([*SHARED, self._own]))
            self._do(str(self._random.choice(KINDS, p=SHARES)), name)
            self._over.wait(self._random.uniform(0, PAUSE_SECONDS))

    def audit(self, names):
        """Each name through each replica, by the highest revision that anyone was told of."""
        for replica in self._replicas:
            for name in names:
                for kind in (LIST, CLASSIFY):
                    self._ask(kind, name, replica, self._shared.of(name))

    def create(self, name):
        self._change(CREATE, name)

    def _do(self, kind, name):
        known = self._known.get(name, [])
        if kind == DELETE and name == self._own:
            deleted = self._change(DELETE, name)
            self._look_after(deleted)
            self._change(CREATE, name)
        elif kind == ADD and len(known) < FULL:
            added = self._change(ADD, name, self._rows())
            if added.outcome == OK and self._random.random() < CHASED:
                self._chase(added)
        elif kind in {REMOVE, ADD} and known:
            count = min(len(known), 3 * BATCH if kind == ADD else BATCH)
            ids = self._random.choice(known, count, replace=False)
            self._change(REMOVE, name, tuple(Row(str(i)) for i in ids))
        elif kind in {LIST, CLASSIFY}:
            self._ask(kind, name, self._any(), self._token(name))

    def _token(self, name):
        """None, its own, or the one that any other was told."""
        return [0, self._tokens.of(name), self._shared.of(name)][self._random.integers(3)]

    def _rows(self):
        """New exemplars; half of the ids are the server's to make."""
        key = f"{self.name}-{self._number}"
        has_ids = self._random.random() < 0.5
        count = int(self._random.integers(1, BATCH + 1))
        return tuple(Row(f"{key}.{n}" if has_ids else "", f"{key}/{n}") for n in range(count))

    def _change(self, kind, name, rows=()):
        """Sends it until there is an answer, to one replica after the other."""
        self._number += 1
        call = Call(self.name, "", kind, name, time.monotonic(), 0, NOBODY_KNOWS, rows=rows)
        call = replace(call, request_id=f"{self.name}-{self._number}")
        while (answered := asked(self._any(), call)).outcome in OPEN:
            if time.monotonic() > call.started + GIVEN_UP_SECONDS:
                answered = replace(answered, outcome=NOBODY_KNOWS)
                break
            call = replace(call, tries=call.tries + 1)
            threading.Event().wait(self._random.uniform(0, 20 * STEP_SECONDS))
        self._learn(answered)
        return answered

    def _ask(self, kind, name, replica, token):
        call = Call(self.name, "", kind, name, time.monotonic(), 0, NOBODY_KNOWS)
        answered = asked(replica, replace(call, min_revision=token))
        if answered.outcome in OPEN:
            answered = replace(answered, outcome=NOBODY_KNOWS)
        self._learn(answered)
        return answered

    def _chase(self, added):
        """Reads without a token at another replica until it shows what was added."""
        others = [replica for replica in self._replicas if replica.name != added.server]
        other = others[self._random.integers(len(others))]
        end = time.monotonic() + CHASE_SECONDS
        while time.monotonic() < end:
            seen = self._ask(CLASSIFY, added.name, other, 0)
            if seen.outcome == NOBODY_KNOWS or seen.revision >= added.revision:
                return
            threading.Event().wait(STEP_SECONDS)

    def _look_after(self, deleted):
        """By the token of a deletion, no replica may show what was there."""
        for replica in self._replicas:
            self._ask(CLASSIFY, deleted.name, replica, deleted.revision)

    def _any(self):
        return self._replicas[self._random.integers(len(self._replicas))]

    def _learn(self, call):
        self._history.record(call)
        if call.outcome == OK:
            self._tokens.saw(call.name, call.revision)
            self._shared.saw(call.name, call.revision)
        known = self._known.get(call.name, [])
        ids = [row.exemplar_id for row in call.rows]
        if call.kind == DELETE:
            self._known[call.name] = []
        elif call.outcome == OK and call.kind in {LIST, CLASSIFY}:
            self._known[call.name] = ids
        elif call.outcome == OK and call.kind == ADD:
            self._known[call.name] = known + ids
        elif call.outcome == OK and call.kind == REMOVE:
            gone = {*ids, *call.refused}
            self._known[call.name] = [i for i in known if i not in gone]


def asked(replica, call):
    """The call with what this replica said."""
    try:
        told = SEND[call.kind](replica.calls, call)
    except grpc.RpcError as error:
        told = {"outcome": _outcome(error)}
    return replace(
        call, **{"server": replica.name, "ended": time.monotonic(), "outcome": OK} | told
    )


def _outcome(error):
    reason = dict(error.trailing_metadata() or ()).get("exemplar-reason", "")
    return NOT_REACHED if reason == NOT_REACHED else error.code().name
