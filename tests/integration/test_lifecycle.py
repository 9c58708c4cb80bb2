"""What becomes of support sets after they were filled, through the real service."""

import grpc
import pytest

from exemplar.v1 import support_set_pb2 as sets
from rpc_calls import (
    ask,
    classify,
    copy,
    forget,
    goes_on,
    keep_images,
    metric,
    prepare,
    refusal,
    remove,
    roll_back,
    save,
    update,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
EXISTS = grpc.StatusCode.ALREADY_EXISTS
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
NAME = "expected [A-Za-z0-9._-]{1,64}, not . or .., got"


@pytest.fixture
async def server(server):
    """A server with a support set of two exemplars and a snapshot, and an empty one."""
    await prepare(server)
    return server


async def labels(server, support_set="set"):
    """What the two images that the support set was made of are classified as."""
    return [a.label for a in (await ask(server, classify(support_set))).answers]


async def exemplars(server, support_set="set"):
    listing = sets.ListExemplarsRequest(support_set=support_set, include_thumbnails=True)
    return (await ask(server, listing)).exemplars


async def test_the_next_answer_has_the_new_label(server):
    assert await labels(server) == ["a", "b"]
    assert (await ask(server, update(label="new"))).revision == 3
    assert await labels(server) == ["new", "b"]


async def test_what_is_wrong_with_an_update_costs_only_itself(server):
    wrong = [
        sets.ExemplarUpdate(exemplar_id="a"),
        sets.ExemplarUpdate(exemplar_id="a", label=""),
        sets.ExemplarUpdate(exemplar_id="../x", label="new"),
        sets.ExemplarUpdate(exemplar_id="a", metadata=sets.Metadata(entries={"k": "v" * 4096})),
        sets.ExemplarUpdate(exemplar_id="b", metadata=sets.Metadata(entries={"k": "v"})),
    ]
    answer = await ask(server, sets.UpdateExemplarsRequest(support_set="set", updates=wrong))
    assert [result.error.message for result in answer.results] == [
        "updates[0]: expected a label or metadata, got neither",
        "updates[1].label: expected 1..128 characters, got 0",
        f"updates[2].exemplar_id: {NAME} '../x'",
        "updates[3].metadata: expected up to 4096 bytes, got 4097",
        "",
    ]
    assert [dict(e.metadata) for e in await exemplars(server)] == [{}, {"k": "v"}]


async def test_answers_after_a_rollback_are_those_of_the_snapshot(server):
    await ask(server, update(label="new"))
    await ask(server, remove(exemplar_ids=["b"]))
    assert await labels(server) == ["new", "new"]
    answer = await ask(server, roll_back())
    assert (answer.revision, answer.exemplar_count) == (5, 2)
    assert await labels(server) == ["a", "b"]
    assert all(e.thumbnail for e in await exemplars(server))


async def test_rolling_back_goes_by_revision_too(server):
    await ask(server, remove(exemplar_ids=["b"]))
    await ask(server, sets.RollBackSupportSetRequest(support_set="set", revision=2))
    assert await labels(server) == ["a", "b"]


async def test_a_copy_answers_as_its_source(server):
    assert (await ask(server, copy())).exemplar_count == 2
    assert await labels(server, "copy") == ["a", "b"]
    assert all(e.thumbnail for e in await exemplars(server, "copy"))


async def test_images_that_are_kept_no_more_are_not_shown(server):
    answer = await ask(server, keep_images())
    assert (answer.deleted_images, answer.revision) == (2, 3)
    assert answer.deleted_image_bytes > 0
    assert not any(e.has_image or e.thumbnail for e in await exemplars(server))
    assert await labels(server) == ["a", "b"]


async def test_a_support_set_has_no_more_snapshots_than_the_limit_says(settings, serving):
    async with serving(settings.model_copy(update={"snapshots": 1})) as server:
        await prepare(server)
        assert await refusal(server, save()) == (
            INVALID,
            "snapshot: expected up to 1 of a support set, got 2: delete one",
        )
        await ask(server, forget())
        await ask(server, save())


async def test_a_support_set_that_is_warmed_up_is_in_memory_and_calibrated(server):
    held = "exemplar_index_support_sets"
    assert await metric(server, held) == 0
    ready = await ask(server, sets.WarmUpRequest(support_set="set"))
    assert await metric(server, held) == 1
    assert ready.revision == 2
    assert ready.index_bytes == await metric(server, "exemplar_index_bytes") > 0
    assert ready.warm_up_ms > 0


async def test_a_deletion_has_a_receipt(server):
    await ask(server, remove(exemplar_ids=["b"]))
    receipt = (await ask(server, sets.DeleteSupportSetRequest(name="set"))).receipt
    counts = receipt.support_sets, receipt.exemplars, receipt.embeddings, receipt.images
    assert counts == (1, 1, 2, 2)  # one of two exemplars only the snapshot kept
    assert (receipt.snapshots, receipt.image_bytes > 0) == (1, True)


REFUSED = {
    "no updates": (update(exemplar_ids=[]), INVALID, "updates: expected 1..1000, got none"),
    "1001 updates": (
        update(exemplar_ids=["a"] * 1001),
        INVALID,
        "updates: expected 1..1000, got 1001",
    ),
    "images neither kept nor not": (
        sets.UpdateSupportSetRequest(name="set"),
        INVALID,
        "keep_images: expected true or false, got neither",
    ),
    "an odd name of a copy": (copy(new_name="../x"), INVALID, f"new_name: {NAME} '../x'"),
    "a copy in the place of another": (
        copy(new_name="empty"),
        EXISTS,
        "there is a support set 'empty' already",
    ),
    "an odd name of a snapshot": (save(snapshot=".."), INVALID, f"snapshot: {NAME} '..'"),
    "an odd snapshot to go back to": (
        roll_back(snapshot="a b"),
        INVALID,
        f"snapshot: {NAME} 'a b'",
    ),
    "a taken name of a snapshot": (
        save(snapshot="pinned"),
        EXISTS,
        "support set 'set' has a snapshot 'pinned' already",
    ),
    "nowhere to go back to": (
        sets.RollBackSupportSetRequest(support_set="set"),
        INVALID,
        "to: expected a snapshot or a revision, got neither",
    ),
    "an unknown snapshot to go back to": (
        roll_back(snapshot="nope"),
        NOT_FOUND,
        "support set 'set' has no snapshot 'nope'",
    ),
    "a revision without a snapshot": (
        sets.RollBackSupportSetRequest(support_set="set", revision=1),
        NOT_FOUND,
        "support set 'set' has no snapshot of revision 1",
    ),
    "an unknown snapshot to delete": (
        forget(snapshot="nope"),
        NOT_FOUND,
        "support set 'set' has no snapshot 'nope'",
    ),
    "an empty support set to warm up": (
        sets.WarmUpRequest(support_set="empty"),
        PRECONDITION,
        "support set 'empty' has no exemplars yet: add some first",
    ),
}


@pytest.mark.parametrize(("request_", "code", "message"), list(REFUSED.values()), ids=list(REFUSED))
async def test_a_bad_request_is_refused_in_words(server, request_, code, message):
    assert await refusal(server, request_) == (code, message)
    assert await goes_on(server)
