"""Any history of changes and rollbacks comes to what a dictionary says, for any cache of it."""

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from exemplar_server.backends import sql_history
from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.core.exemplars import ExemplarUpdate
from fakes import DIM, exemplar
from store_calls import Calls

ids = st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True)
labels = st.sampled_from("xyz")
snapshots = st.sampled_from(["one", "two", "three"])
PAST = "SELECT count(*) FROM past_{}"


class Histories(RuleBasedStateMachine):
    """`live` is the truth: exemplar id -> (label, metadata, embedding, image).

    `past` has what it was at each revision, `saved` which revision each snapshot is of. Caches know
    ids, labels and embeddings; each follows now and then.
    """

    def __init__(self, store):
        super().__init__()
        self.runner = asyncio.Runner()
        self.store, self.calls = store, Calls(store)
        self.live, self.saved, self.seed = {}, {}, 0
        self.caches = [(0, {}), (0, {}), (0, {})]

    def run(self, coroutine):
        return self.runner.run(coroutine)

    def reached(self, revision, after):
        assert revision == self.revision + (after != self.live)
        self.live, self.revision = after, revision
        self.past[revision] = after

    @initialize()
    def create(self):
        self.target = self.run(self.calls.create())
        self.revision = self.target.revision
        self.past = {self.revision: {}}

    @rule(ids=ids, label=labels, image=st.sampled_from([None, b"1", b"22"]))
    def add(self, ids, label, image):
        new = [exemplar(i, label, self.seed + n, image, {"n": i}) for n, i in enumerate(ids)]
        self.seed += len(ids)
        change = self.run(self.calls.add(self.target, *new))
        rows = {e.exemplar_id: (e.label, e.metadata, e.embedding_D.tobytes(), e.image) for e in new}
        self.reached(change.revision, rows | self.live)

    @rule(ids=ids)
    def remove(self, ids):
        change = self.run(self.calls.remove("set", *ids))
        self.reached(change.revision, {i: r for i, r in self.live.items() if i not in ids})

    @rule(ids=ids, label=labels, metadata=st.sampled_from([None, {}, {"k": "v"}]))
    def update(self, ids, label, metadata):
        updates = [ExemplarUpdate(i, label, metadata) for i in ids]
        change = self.run(self.calls.update("set", *updates))
        after = {
            i: (label, row[1] if metadata is None else metadata, *row[2:]) if i in ids else row
            for i, row in self.live.items()
        }
        self.reached(change.revision, after)

    @rule(name=snapshots)
    def save(self, name):
        if name in self.saved:
            self.run(self.calls.forget(name))
        self.run(self.calls.save(name))
        self.saved[name] = self.revision

    @precondition(lambda self: self.saved)
    @rule(data=st.data())
    def forget(self, data):
        name = data.draw(st.sampled_from(sorted(self.saved)))
        self.run(self.calls.forget(name))
        del self.saved[name]

    @precondition(lambda self: self.saved)
    @rule(data=st.data(), is_by_revision=st.booleans())
    def roll_back(self, data, is_by_revision):
        name = data.draw(st.sampled_from(sorted(self.saved)))
        to = self.saved[name] if is_by_revision else name
        change = self.run(self.calls.roll_back(to))
        assert change.revision == self.revision + 1
        self.revision, self.live = change.revision, self.past[self.saved[name]]
        self.past[self.revision] = self.live

    @rule(number=st.integers(0, 2))
    def follow(self, number):
        revision, known = self.caches[number]
        incarnation = self.target.incarnation if revision else ""
        delta = self.run(self.calls.delta("set", incarnation, revision))
        kept = {i: row for i, row in known.items() if i not in delta.removed_ids}
        assert not kept.keys() & set(delta.exemplar_ids), "a row comes that is there already"
        rows = zip(delta.exemplar_ids, delta.labels, delta.embeddings_ND, strict=True)
        known = kept | {i: (label, row.tobytes()) for i, label, row in rows}
        assert known == {i: (row[0], row[2]) for i, row in self.live.items()}
        self.caches[number] = (self.revision, known)

    @invariant()
    def everything_is_as_it_should_be(self):
        assert self.run(self.calls.content()) == self.live
        described, counts = self.run(self.store.describe("tenant", "set"))
        assert (described.revision, described.exemplar_count) == (self.revision, len(self.live))
        assert counts == {
            label: sum(row[0] == label for row in self.live.values())
            for label in sorted({row[0] for row in self.live.values()})
        }
        assert {s.name: s.revision for s in self.run(self.calls.saved())} == self.saved

    @invariant()
    def each_content_that_is_shown_is_kept_once_and_counted(self):
        shown = [self.live, *(self.past[revision] for revision in self.saved.values())]
        # Each embedding has a seed of its own.
        contents = {row[2]: row[3] for rows in shown for row in rows.values()}
        size_bytes = len(contents) * 4 * DIM + sum(len(image or b"") for image in contents.values())
        assert self.one("SELECT exemplar_count, stored_bytes FROM tenant") == (
            len(contents),
            size_bytes,
        )
        assert self.one("SELECT stored_bytes FROM support_set") == (size_bytes,)
        kept = [self.one(PAST.format(name))[0] for name in ("exemplar", "embedding", "image")]
        assert kept[1] == len(contents) - len(self.live)
        if not self.saved:
            assert kept == [0, 0, 0]

    def one(self, query):
        return tuple(self.run(self.store.read(lambda c: c.execute(text(query)).one())))

    def teardown(self):
        self.runner.close()


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_any_history_of_changes_and_rollbacks(dialect, request, tmp_path, monkeypatch):
    monkeypatch.setattr(sql_history, "IDS_AT_ONCE", 2)
    is_sqlite = dialect == "sqlite"
    url = f"sqlite:///{tmp_path}/store.db" if is_sqlite else request.getfixturevalue("postgres_url")
    store = SqlStore(url)

    class Emptied(Histories):
        """Each history begins with no support set and no tenant."""

        def __init__(self):
            super().__init__(store)

        def teardown(self):
            self.run(self.calls.delete())
            self.run(store.write(lambda c: c.execute(text("DELETE FROM tenant")).rowcount))
            super().teardown()

    examples = 20 if is_sqlite else 8
    run_state_machine_as_test(
        Emptied, settings=settings(deadline=None, max_examples=examples, stateful_step_count=30)
    )
    store.close()
