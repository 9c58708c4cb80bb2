"""Any history with other labels, copies and rollbacks in it is searched as a dictionary says.

As test_histories.py, over both stores and through two servers with caches of their own.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from contract.test_histories import SqliteHistories, ids, labels, names, servers
from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.core.exemplars import ExemplarUpdate
from fakes import TENANT, once
from service_calls import Service

snapshots = st.sampled_from(["good", "better"])


class Lifecycles(SqliteHistories):
    """`saved` has what each snapshot shows, by support set and name."""

    def __init__(self):
        self.saved = {}
        super().__init__()

    def drawn(self, data, of=None):
        return data.draw(st.sampled_from(sorted(self.sets if of is None else of)))

    @precondition(lambda self: self.sets)
    @rule(server=servers, data=st.data(), ids=ids, label=labels)
    def relabel(self, server, data, ids, label):
        name = self.drawn(data)
        updates = [ExemplarUpdate(i, label, None) for i in dict.fromkeys(ids)]
        change = self.run(
            self.servers[server].sets.lifecycle.update_exemplars(
                TENANT, name, updates, expected_revision=None, key=once("UpdateExemplars")
            )
        )
        rows = self.sets[name]
        changed = {i: (label, rows[i][1]) for i in ids if i in rows and rows[i][0] != label}
        self.reached(name, change.revision, changed)
        rows.update(changed)

    @precondition(lambda self: self.sets)
    @rule(server=servers, data=st.data(), snapshot=snapshots)
    def save(self, server, data, snapshot):
        name = self.drawn(data)
        sets = self.servers[server].sets
        if (name, snapshot) in self.saved:
            key = once("DeleteSnapshot")
            self.run(sets.lifecycle.delete_snapshot(TENANT, name, snapshot, key=key))
        self.run(
            sets.lifecycle.create_snapshot(
                TENANT, name, snapshot, most=2, expected_revision=None, key=once("CreateSnapshot")
            )
        )
        self.saved[name, snapshot] = dict(self.sets[name])

    @precondition(lambda self: self.saved)
    @rule(server=servers, data=st.data())
    def roll_back(self, server, data):
        name, snapshot = self.drawn(data, self.saved)
        key = once("RollBackSupportSet")
        change = self.run(
            self.servers[server].sets.lifecycle.roll_back(
                TENANT, name, snapshot, expected_revision=None, key=key
            )
        )
        self.reached(name, change.revision, True)
        self.sets[name] = dict(self.saved[name, snapshot])

    @precondition(lambda self: len(self.sets) == 1)
    @rule(server=servers)
    def copy(self, server):
        (name,) = self.sets
        other = "two" if name == "one" else "one"
        key = once("CopySupportSet")
        change = self.run(
            self.servers[server].sets.lifecycle.copy(TENANT, name, other, min_revision=0, key=key)
        )
        assert change.revision > self.revisions.get(other, 0)
        self.sets[other], self.revisions[other] = dict(self.sets[name]), change.revision

    @rule(server=servers, name=names)
    def delete(self, server, name):
        super().delete(server, name)
        self.saved = {key: rows for key, rows in self.saved.items() if key[0] != name}

    @rule(server=servers)
    def delete_the_tenant(self, server):
        receipt = self.run(
            self.servers[server].sets.lifecycle.delete_tenant(TENANT, once("DeleteTenant"))
        )
        assert receipt.support_sets == len(self.sets)
        self.sets, self.saved, self.last_addition = {}, {}, None


TestAnyHistoryOnDisk = Lifecycles.TestCase
TestAnyHistoryOnDisk.settings = settings(deadline=None, max_examples=15, stateful_step_count=30)


def test_any_history_in_postgresql(postgres):
    class PostgresLifecycles(Lifecycles):
        """Each server has a store of its own, over one database, as replicas have."""

        def open_store(self):
            postgres.empty("used_by_all")
            return SqlStore(postgres.url("used_by_all"))

        def start_servers(self):
            self.other = SqlStore(postgres.url("used_by_all"))
            self.servers = [Service(store=self.store), Service(store=self.other, index_bytes=9000)]

        @rule()
        def restart(self):
            self.store.close()
            self.other.close()
            self.store = SqlStore(postgres.url("used_by_all"))
            self.start_servers()

        def teardown(self):
            self.other.close()
            super().teardown()

    run_state_machine_as_test(
        PostgresLifecycles, settings=settings(deadline=None, max_examples=6, stateful_step_count=30)
    )
