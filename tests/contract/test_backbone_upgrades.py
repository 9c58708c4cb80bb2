"""Backbone upgrades on each dialect: nothing is lost, nothing is seen before the switch."""

import numpy as np
import pytest

from exemplar_server.core.upgrade_ports import Reembedded
from exemplar_server.core.upgrades import (
    NONE,
    REFUSED,
    RUNNING,
    STOPPED,
    SWITCHED,
    Gate,
)
from exemplar_server.errors import (
    NotFoundError,
    RevisionMismatchError,
    UndecodableImageError,
    UpgradeRefusedError,
)
from fakes import TENANT
from service_calls import image_of, labelled, vector_of
from upgrade_calls import NEW, NEW_DIM, OLD, UpgradedService, turned
from upgrade_rows import (
    MEASURED,
    PER_LABEL,
    PICTURES,
    exemplars,
    neighbors,
    picture,
    spaces,
)

pytest_plugins = ["contract.upgrade_fixtures"]


# The way forward


async def test_an_upgrade_switches_to_the_new_backbone_at_the_next_revision(taught):
    before = await taught.described()
    upgrade = await taught.upgrade()
    after = await taught.described()
    assert (upgrade.state, upgrade.gate) == (SWITCHED, MEASURED)
    assert (after.fingerprint, after.backbone, after.dim) == (NEW.fingerprint, "tiny", NEW_DIM)
    assert after.revision == before.revision + 1
    assert after.exemplar_count == before.exemplar_count


async def test_answers_after_the_switch_are_those_of_the_new_embeddings(taught):
    before = await neighbors(taught, PICTURES["a1"][1])
    taught.new.wrong = {PICTURES["a0"][1]: PICTURES["b0"][1]}
    await taught.upgrade(is_forced=True)
    after = await neighbors(taught, PICTURES["a1"][1], k=2 * PER_LABEL)
    assert after[0] == before[0] == ("a1", 1.0)
    assert [i for i, _ in after].index("a0") >= PER_LABEL - 1  # among those of the other label
    assert taught.embedder.seen.count(PICTURES["a1"][1]) == 2  # added, asked; not after the switch


async def test_it_tells_its_progress(taught):
    started = await taught.start()
    assert (started.state, started.progress.embedded_count) == (RUNNING, 0)
    await taught.worker.work()
    assert 0 < (await taught.get()).progress.embedded_count < 2 * PER_LABEL
    await taught.work()
    assert (await taught.get()).progress.embedded_count == 2 * PER_LABEL


async def test_before_the_switch_nobody_sees_anything_new(taught):
    before = await taught.described(), await neighbors(taught, PICTURES["a1"][1])
    await taught.start()
    await taught.worker.work()
    assert (await taught.described(), await neighbors(taught, PICTURES["a1"][1])) == before


async def test_what_is_added_meanwhile_is_there_after_the_switch(taught):
    await taught.start()
    await taught.worker.work()
    await taught.add(labelled("c", image_of(2), "c0"), labelled("c", image_of(2), "000"))
    await taught.work()
    assert (await taught.get()).progress.embedded_count == 2 * PER_LABEL + 2
    assert {i for i, _ in await neighbors(taught, image_of(2), k=2)} == {"000", "c0"}


async def test_what_is_removed_meanwhile_stays_removed(taught, url):
    await taught.start()
    await taught.worker.work()
    gone = [e.exemplar_id for e in exemplars()][:PER_LABEL]
    await taught.remove(*gone)
    await taught.work()
    assert (await taught.described()).exemplar_count == PER_LABEL
    assert spaces(url) == {OLD.fingerprint: PER_LABEL, NEW.fingerprint: PER_LABEL}


async def test_an_id_that_is_used_again_meanwhile_gets_no_embedding_of_the_image_before(taught):
    await taught.start()
    (job,) = await taught.upgrade_store.upgrade_jobs()
    read = await taught.upgrade_store.pending(job, "", 1)
    await taught.remove("a0")
    await taught.add(labelled("a", picture(0, 99), "a0"))
    late = turned(np.frombuffer(read[0].image, "<f4"))
    await taught.upgrade_store.keep_embeddings(job, [Reembedded(read[0], late)])
    assert (await taught.upgrade_store.progress(job)).embedded_count == 0


async def test_two_workers_do_not_get_in_each_others_way(taught, sql_store):
    other = UpgradedService(sql_store)
    await taught.start()
    (job,) = await taught.upgrade_store.upgrade_jobs()
    read = await taught.upgrade_store.pending(job, "", 20)
    done = [Reembedded(one, turned(np.frombuffer(one.image, "<f4"))) for one in read]
    for service in (taught, other):
        await service.upgrade_store.keep_embeddings(job, done)
    await taught.work()
    assert (await other.get()).state == SWITCHED
    with pytest.raises(NotFoundError, match="is over"):
        await other.upgrade_store.switch(job, MEASURED, None)
    await other.cache.close()


async def test_an_upgrade_goes_on_where_another_server_stopped(taught, sql_store):
    await taught.start()
    await taught.worker.work()
    done = len(taught.new.seen)
    after = UpgradedService(sql_store)
    await after.work()
    assert (await after.get()).state == SWITCHED
    assert done + len(after.new.seen) == 2 * PER_LABEL
    await after.cache.close()


async def test_an_empty_support_set_is_switched(service):
    await service.create()
    assert (await service.upgrade()).state == SWITCHED
    assert (await service.described()).dim == NEW_DIM


async def test_starting_again_changes_nothing(taught):
    await taught.upgrade()
    revision = (await taught.described()).revision
    assert (await taught.start()).state == SWITCHED
    assert (await taught.described()).revision == revision


# The gate


async def spoiled(service):
    """One exemplar of twelve comes out wrong with the new backbone."""
    service.new.wrong = {PICTURES["a0"][1]: PICTURES["b0"][1]}
    return await service.upgrade()


async def test_a_new_backbone_that_answers_worse_is_refused_with_both_figures(taught):
    upgrade = await spoiled(taught)
    assert upgrade.state == REFUSED
    assert upgrade.gate == Gate(1.0, pytest.approx(11 / 12), 12)
    assert "91.7% of 12 exemplars right, the old one 100.0%" in upgrade.message
    assert (await taught.described()).fingerprint == OLD.fingerprint


async def test_what_was_refused_is_switched_where_that_is_wanted(taught):
    await spoiled(taught)
    upgrade = await taught.upgrade(is_forced=True)
    assert (upgrade.state, upgrade.gate.new_accuracy) == (SWITCHED, pytest.approx(11 / 12))
    assert len(taught.new.seen) == 12  # nothing was embedded twice


async def test_a_gate_that_has_nothing_to_measure_lets_pass(service):
    await service.create()
    await service.add(labelled("a", image_of(0)), labelled("b", image_of(1)))
    upgrade = await service.upgrade()
    assert (upgrade.state, upgrade.gate.exemplar_count) == (SWITCHED, 0)


async def test_the_switch_waits_for_what_came_after_the_measurement(taught):
    await taught.start()
    (job,) = await taught.upgrade_store.upgrade_jobs()
    revision = (await taught.described()).revision
    with pytest.raises(RevisionMismatchError, match="12 exemplars have no new embedding"):
        await taught.upgrade_store.switch(job, MEASURED, revision)
    with pytest.raises(RevisionMismatchError, match="expected_revision"):
        await taught.upgrade_store.switch(job, MEASURED, revision - 1)


# Images


async def test_a_support_set_without_images_is_refused_with_what_it_needs(service):
    await service.create(keep_images=False)
    await service.add(*exemplars())
    with pytest.raises(UpgradeRefusedError, match="12 of 12 exemplars have no kept image"):
        await service.start()


async def test_an_exemplar_without_an_image_that_comes_meanwhile_stops_it(taught):
    await taught.start()
    await taught.add(labelled("c", vector_of(2), "c0"))
    await taught.work()
    assert (await taught.get()).state == STOPPED
    assert "1 exemplars have no kept image" in (await taught.get()).message
    await taught.remove("c0")
    assert (await taught.upgrade()).state == SWITCHED


async def test_an_image_that_cannot_be_embedded_stops_it_by_name(taught):
    taught.new.broken = {PICTURES["b3"][1]: UndecodableImageError("not a readable image")}
    upgrade = await taught.upgrade()
    assert upgrade.state == STOPPED
    assert upgrade.message == "exemplar 'b3' cannot be embedded: not a readable image"


async def test_support_sets_are_listed_with_what_a_new_backbone_needs(taught):
    await taught.create("bare", keep_images=False)
    await taught.add(*exemplars(["a0", "b0"]), name="bare")
    await taught.create("new", "tiny@2")
    page = await taught.upgrades.page(TENANT, "tiny@2", "", 10)
    needs = [(u.support_set.name, u.state, u.progress.needs_images) for u in page.items]
    assert needs == [("bare", NONE, 2), ("set", NONE, 0)]
    first = await taught.upgrades.page(TENANT, "tiny@2", "", 1)
    rest = await taught.upgrades.page(TENANT, "tiny@2", first.next_token, 1)
    assert [p.items[0].support_set.name for p in (first, rest)] == ["bare", "set"]
    assert (await taught.upgrades.page(TENANT, "", "", 10)).items == []
