"""Clients that change and read the same few support sets at once, and write down what they see.

A call that nobody answers is sent once more to the next server, with the same request_id.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cache

import grpc
import numpy as np

from call_history import ADD, CLASSIFY, CREATE, DELETE, LIST, NOBODY_KNOWS, OK, REMOVE, Call, Row
from exemplar.v1 import classification_pb2 as classification
from exemplar.v1 import support_set_pb2 as sets
from pictures import png

NAMES = ("one", "two", "three")
# Nobody knows what became of a call that ended so; every other status is a refusal.
OPEN = {"UNAVAILABLE", "CANCELLED", "UNKNOWN", "DEADLINE_EXCEEDED"}
MOST_NEIGHBORS = 100
FULL = 60  # exemplars in a support set, so that one query's neighbors are all of them
KINDS = (ADD, REMOVE, LIST, CLASSIFY, CREATE, DELETE)
SHARES = (0.5, 0.27, 0.06, 0.1, 0.03, 0.04)
ABANDONED = 0.2  # of the additions that a kill interrupted


@cache
def picture(number):
    return png(number)


class Client:
    """One caller, with its own random numbers. `acknowledged` hears of every write."""

    def __init__(self, name, seed, lives, history, acknowledged):
        self.name = name
        self._random = np.random.default_rng(seed)
        self._lives = lives
        self._history = history
        self._acknowledged = acknowledged
        self._life = None
        self._number = 0
        self._known = {name: [] for name in NAMES}  # exemplar ids, as last seen
        self._removed = {name: [] for name in NAMES}

    def work(self):
        """Call after call, until the first one that is done in the last life."""
        self._life = self._lives.after(0)
        while True:
            name = str(self._random.choice(NAMES))
            self._do(str(self._random.choice(KINDS, p=SHARES)), name)
            if self._life.is_last:
                return

    def _do(self, kind, name):
        if kind == ADD and len(self._known[name]) < FULL:
            self._send(ADD, name, self._rows(name))
        elif kind == REMOVE and self._known[name]:
            ids = self._some(self._known[name], 3)
            self._send(REMOVE, name, tuple(Row(i) for i in ids))
        elif kind not in {ADD, REMOVE}:
            self._send(kind, name)

    def _rows(self, name):
        """New exemplars; some ids are the server's to make, and some were removed before."""
        key = f"{self.name}-{self._number}"
        count = int(self._random.integers(1, 5))
        ids = self._random.choice(["", "own", "again"])
        again = self._some(self._removed[name], count) if ids == "again" else []
        own = [f"{key}.{n}" if ids else "" for n in range(count)]
        return tuple(
            Row(exemplar_id, f"{key}/{n}") for n, exemplar_id in enumerate([*again, *own][:count])
        )

    def _some(self, ids, most):
        count = min(len(ids), int(self._random.integers(1, most + 1)))
        return [str(i) for i in self._random.choice(ids, count, replace=False)] if count else []

    def _send(self, kind, name, rows=()):
        """Sends it until there is an answer."""
        self._number += 1
        call = Call(self.name, "", kind, name, time.monotonic(), 0, NOBODY_KNOWS, rows=rows)
        call = replace(call, request_id=f"{self.name}-{self._number}")
        while True:
            answered = answer(self._life, call)
            if answered.outcome not in OPEN:
                break
            self._life = self._lives.after(self._life.number)
            if not call.is_change or (is_fresh(call) and self._random.random() < ABANDONED):
                answered = replace(answered, outcome=NOBODY_KNOWS)
                break
            call = replace(call, tries=call.tries + 1)
        self._learn(answered)
        self._history.record(answered)
        if answered.is_acknowledged_write:
            self._acknowledged.put(answered)

    def _learn(self, call):
        """What may be removed, and what may be added once more."""
        ids = [row.exemplar_id for row in call.rows]
        if call.kind == DELETE or call.outcome == "NOT_FOUND":
            self._known[call.name], self._removed[call.name] = [], []
            if call.kind != CREATE:
                self._send(CREATE, call.name)
        elif call.outcome == OK and call.kind == LIST:
            self._known[call.name] = ids
        elif call.outcome == OK and call.kind == ADD:
            self._known[call.name] += [i for i in ids if i not in self._known[call.name]]
        elif call.outcome == OK and call.kind == REMOVE:
            self._known[call.name] = [i for i in self._known[call.name] if i not in ids]
            self._removed[call.name] = (self._removed[call.name] + ids)[-5:]


def is_fresh(call):
    """Whether all of it is certain to be added: its ids are of no other call."""
    return call.kind == ADD and all(
        row.exemplar_id.startswith(row.label.partition("/")[0] + ".") for row in call.rows
    )


def answer(life, call):
    """The call with what this server said."""
    try:
        told = SEND[call.kind](life.calls, call)
    except grpc.RpcError as error:
        told = {"outcome": error.code().name}
    server = f"life {life.number}"
    return replace(call, **{"server": server, "ended": time.monotonic(), "outcome": OK} | told)


def _create(calls, call):
    request = sets.CreateSupportSetRequest(name=call.name, request_id=call.request_id)
    made = calls.sets.CreateSupportSet(request, timeout=calls.patience_seconds).support_set
    return {"revision": made.revision}


def _delete(calls, call):
    request = sets.DeleteSupportSetRequest(name=call.name, request_id=call.request_id)
    ended = calls.sets.DeleteSupportSet(request, timeout=calls.patience_seconds)
    return {"revision": ended.revision, "exemplar_count": ended.deleted_exemplar_count}


def _add(calls, call):
    new = [
        sets.NewExemplar(label=r.label, image=picture(n), exemplar_id=r.exemplar_id)
        for n, r in enumerate(call.rows)
    ]
    request = sets.AddExemplarsRequest(
        support_set=call.name, exemplars=new, request_id=call.request_id
    )
    return _changed(call, calls.sets.AddExemplars(request, timeout=calls.patience_seconds))


def _remove(calls, call):
    ids = [row.exemplar_id for row in call.rows]
    request = sets.RemoveExemplarsRequest(
        support_set=call.name, exemplar_ids=ids, request_id=call.request_id
    )
    return _changed(call, calls.sets.RemoveExemplars(request, timeout=calls.patience_seconds))


def _changed(call, answered):
    both = list(zip(call.rows, answered.results, strict=True))
    return {
        "revision": answered.revision,
        "exemplar_count": answered.exemplar_count,
        "rows": tuple(Row(r.exemplar_id, row.label) for row, r in both if r.exemplar_id),
        "refused": tuple(row.exemplar_id for row, r in both if not r.exemplar_id),
    }


def _list(calls, call):
    request = sets.ListExemplarsRequest(
        support_set=call.name, page_size=1000, min_revision=call.min_revision
    )
    listed = calls.sets.ListExemplars(request, timeout=calls.patience_seconds)
    rows = tuple(Row(e.exemplar_id, e.label, e.revision) for e in listed.exemplars)
    return {"revision": listed.revision, "rows": rows}


def _classify(calls, call):
    request = classification.ClassifyRequest(
        support_set=call.name,
        queries=[classification.Query(image=picture(0))],
        k=MOST_NEIGHBORS,
        include_neighbors=True,
        min_revision=call.min_revision,
    )
    answered = calls.classification.Classify(request, timeout=calls.patience_seconds)
    rows = tuple(Row(n.exemplar_id, n.label) for n in answered.answers[0].neighbors)
    is_part = len(rows) == MOST_NEIGHBORS  # there may be more: several clients add at once
    return {"revision": answered.revision, "rows": rows, "is_part": is_part}


SEND = {
    CREATE: _create,
    DELETE: _delete,
    ADD: _add,
    REMOVE: _remove,
    LIST: _list,
    CLASSIFY: _classify,
}
