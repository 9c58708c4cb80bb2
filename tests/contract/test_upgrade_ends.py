"""How upgrades end, on each dialect: rolled back, finished, cancelled; spaces never mix."""

import numpy as np
import pytest

from exemplar_server.core.embedder import Backbone
from exemplar_server.core.embedders import Embedders
from exemplar_server.core.upgrades import (
    ROLLED_BACK,
    ROLLING_BACK,
    SWITCHED,
)
from exemplar_server.core.vectors import Vector
from exemplar_server.errors import (
    FingerprintMismatchError,
    NotFoundError,
    UpgradeRefusedError,
)
from fakes import DIM, TENANT
from service_calls import image_of, labelled, vector_of
from upgrade_calls import NEW, NEW_DIM, OLD, UpgradedService
from upgrade_rows import PER_LABEL, PICTURES, counters, neighbors, spaces

pytest_plugins = ["contract.upgrade_fixtures"]


# The way back


async def test_a_rollback_brings_back_the_old_answers_at_once(taught):
    before = await neighbors(taught, PICTURES["a1"][1])
    taught.new.wrong = {PICTURES[before[1][0]][1]: PICTURES["b0"][1]}
    await taught.upgrade(is_forced=True)
    assert await neighbors(taught, PICTURES["a1"][1]) != before
    rolled_back = await taught.upgrades.roll_back(TENANT, "set")
    assert rolled_back.state == ROLLED_BACK
    assert await neighbors(taught, PICTURES["a1"][1]) == before
    assert (await taught.described()).fingerprint == OLD.fingerprint


async def test_what_came_after_the_switch_is_embedded_before_a_rollback(taught):
    await taught.upgrade()
    await taught.add(labelled("c", image_of(2), "c0"))
    assert (await taught.upgrades.roll_back(TENANT, "set")).state == ROLLING_BACK
    await taught.work()
    assert (await taught.get()).state == ROLLED_BACK
    assert (await neighbors(taught, image_of(2)))[0] == ("c0", 1.0)


async def test_a_rollback_keeps_the_figures(taught):
    taught.new.wrong = {PICTURES["a0"][1]: PICTURES["b0"][1]}
    before = await taught.upgrade(is_forced=True)
    await taught.add(labelled("c", image_of(2), "c0"))
    await taught.upgrades.roll_back(TENANT, "set")
    await taught.work()
    after = await taught.get()
    assert (after.state, after.gate) == (ROLLED_BACK, before.gate)


async def test_a_rollback_that_meets_an_exemplar_without_an_image_stays_switched(taught):
    await taught.upgrade()
    await taught.add(labelled("c", image_of(2), "c0"))
    await taught.upgrades.roll_back(TENANT, "set")
    values = np.eye(NEW_DIM, dtype="<f4")[0].tobytes()
    await taught.add(labelled("c", Vector(values, NEW_DIM, NEW.fingerprint), "bare"))
    await taught.work()
    stopped = await taught.get()
    assert (stopped.state, stopped.message[:12]) == (SWITCHED, "1 exemplars ")
    await taught.remove("bare")
    await taught.upgrades.roll_back(TENANT, "set")
    await taught.work()
    assert ((await taught.get()).state, (await taught.get()).message) == (ROLLED_BACK, "")


async def test_rolling_back_again_changes_nothing(taught):
    await taught.upgrade()
    first = await taught.upgrades.roll_back(TENANT, "set")
    assert await taught.upgrades.roll_back(TENANT, "set") == first


async def test_an_upgrade_that_was_rolled_back_can_start_again(taught):
    await taught.upgrade()
    await taught.upgrades.roll_back(TENANT, "set")
    assert (await taught.upgrade()).state == SWITCHED
    assert len(taught.new.seen) == 12  # its embeddings were kept


async def test_finishing_drops_the_old_embeddings_and_the_way_back(taught, url):
    await taught.upgrade()
    await taught.upgrades.finish(TENANT, "set")
    assert spaces(url) == {NEW.fingerprint: 12}
    with pytest.raises(NotFoundError, match="has no upgrade"):
        await taught.upgrades.roll_back(TENANT, "set")


async def test_cancelling_drops_the_new_embeddings(taught, url):
    await taught.start()
    await taught.worker.work()
    await taught.upgrades.cancel(TENANT, "set")
    await taught.work()
    assert spaces(url) == {OLD.fingerprint: 12}
    assert (await taught.described()).fingerprint == OLD.fingerprint


async def test_ending_what_is_not_there_changes_nothing(taught):
    await taught.upgrades.cancel(TENANT, "set")
    await taught.upgrades.finish(TENANT, "set")


async def test_what_an_upgrade_cannot_do_in_its_state_is_refused(taught):
    await taught.start()
    for act in (taught.upgrades.finish, taught.upgrades.roll_back):
        with pytest.raises(UpgradeRefusedError, match="has not switched: cancel it"):
            await act(TENANT, "set")
    await taught.work()
    with pytest.raises(UpgradeRefusedError, match="has switched: roll it back, or finish it"):
        await taught.upgrades.cancel(TENANT, "set")
    await taught.upgrades.finish(TENANT, "set")
    with pytest.raises(UpgradeRefusedError, match="is of backbone tiny@2 already"):
        await taught.start()


# Counting and ending


@pytest.mark.parametrize("end", ["finish", "roll_back", "none"])
async def test_bytes_are_counted_as_they_come_and_go(taught, url, end):
    await taught.start()
    await taught.worker.work()
    assert len(set(counters(url))) == 1
    await taught.remove("a0", "b5")
    await taught.work()
    if end != "none":
        await getattr(taught.upgrades, end)(TENANT, "set")
    assert len(set(counters(url))) == 1
    await taught.delete()
    assert counters(url) == [0, 0, 0]


async def test_a_deleted_support_set_takes_its_upgrade_along(taught):
    await taught.start()
    (job,) = await taught.upgrade_store.upgrade_jobs()
    await taught.delete()
    await taught.create()
    assert await taught.upgrade_store.upgrade_jobs() == []
    with pytest.raises(NotFoundError):
        await taught.upgrade_store.keep_embeddings(job, [])
    with pytest.raises(NotFoundError):
        await taught.get()


# Two spaces


async def test_ready_made_embeddings_of_the_old_space_are_refused_by_name(taught):
    await taught.upgrade()
    (error,) = await taught.classify(vector_of(0))
    assert isinstance(error, FingerprintMismatchError)
    assert NEW.fingerprint in str(error)
    added = await taught.add(labelled("a", vector_of(0)))
    assert added.change.items[0].reason == "FINGERPRINT_MISMATCH"


async def test_what_was_embedded_before_the_switch_is_embedded_anew_when_it_comes_after(taught):
    """The addition reads the support set and embeds; then it is switched; then it is stored."""
    late = image_of(2)

    class Switching:
        backbone: Backbone = taught.embedder.backbone

        async def embed(self, tenant, images, deadline):
            await taught.upgrade()
            return await taught.embedder.embed(tenant, images, deadline)

    taught.sets.embedders = Embedders([Switching(), taught.new])
    added = await taught.add(labelled("c", late, "c0"))
    assert added.fingerprint == NEW.fingerprint
    assert (await neighbors(taught, late))[0] == ("c0", 1.0)


async def test_a_cache_that_slept_through_the_switch_loads_anew(taught, sql_store):
    other = UpgradedService(sql_store)
    before = await other.cache.get(TENANT, "set", 0)
    await taught.add(labelled("c", image_of(2), "c0"))
    await taught.upgrade()
    await taught.remove("a0")
    revision = (await taught.described()).revision
    after = await other.cache.get(TENANT, "set", revision)
    ids, _, embeddings_NE = after.live()
    assert before.support_set.fingerprint == OLD.fingerprint
    assert embeddings_NE.shape == (2 * PER_LABEL, NEW_DIM)
    assert "c0" in ids
    assert "a0" not in ids
    assert all(not row[: NEW_DIM - DIM].any() for row in embeddings_NE)
    await other.cache.close()


async def test_forth_and_back_between_two_looks_is_noticed(taught, sql_store):
    other = UpgradedService(sql_store)
    await other.cache.get(TENANT, "set", 0)
    await taught.upgrade()
    await taught.upgrades.roll_back(TENANT, "set")
    await taught.add(labelled("c", image_of(2), "c0"))
    revision = (await taught.described()).revision
    after = await other.cache.get(TENANT, "set", revision)
    assert (after.live_count, after.support_set.dim) == (2 * PER_LABEL + 1, DIM)
    await other.cache.close()
