"""Retries change nothing twice, and revisions say which change an answer has seen."""

import grpc
import pytest

from exemplar.v1 import classification_pb2 as classification
from exemplar.v1 import embedding_pb2 as embedding
from exemplar.v1 import map_pb2 as maps
from exemplar.v1 import support_set_pb2 as sets
from rpc_calls import (
    EXEMPLARS,
    QUERIES,
    add,
    ask,
    classify,
    copy,
    forget,
    keep_images,
    prepare,
    refusal,
    remove,
    roll_back,
    save,
    update,
)

NEW = [
    sets.NewExemplar(label="c", image=EXEMPLARS[0].image),
    sets.NewExemplar(label="c", image=b"no image"),
]
MUTATIONS = {
    "CreateSupportSet": sets.CreateSupportSetRequest(name="new", request_id="1"),
    "AddExemplars": add(exemplars=NEW, request_id="1"),
    "RemoveExemplars": remove(exemplar_ids=["a", "nowhere"], request_id="1"),
    "UpdateExemplars": update(exemplar_ids=["b", "nowhere"], request_id="1"),
    "UpdateSupportSet": keep_images(request_id="1"),
    "CopySupportSet": copy(request_id="1"),
    "CreateSnapshot": save(request_id="1"),
    "RollBackSupportSet": roll_back(request_id="1"),
    "DeleteSnapshot": forget(request_id="1"),
    "DeleteSupportSet": sets.DeleteSupportSetRequest(name="set", request_id="1"),
}
CHANGES = {n: r for n, r in MUTATIONS.items() if "expected_revision" in r.DESCRIPTOR.fields_by_name}
READS = {
    "GetSupportSet": sets.GetSupportSetRequest(name="set"),
    "ListExemplars": sets.ListExemplarsRequest(support_set="set"),
    "Classify": classify(),
    "ComputeMap": maps.ComputeMapRequest(support_set="set"),
    "WarmUp": sets.WarmUpRequest(support_set="set"),
}
each_mutation = pytest.mark.parametrize("request_", list(MUTATIONS.values()), ids=list(MUTATIONS))
each_change = pytest.mark.parametrize("request_", list(CHANGES.values()), ids=list(CHANGES))
each_read = pytest.mark.parametrize("request_", list(READS.values()), ids=list(READS))


def with_fields(request, **fields):
    return type(request)(**{f.name: value for f, value in request.ListFields()} | fields)


async def everything(server):
    """All support sets, and the exemplars and snapshots of "set" if it is there."""
    listed = await ask(server, sets.ListSupportSetsRequest())
    if "set" not in {s.name for s in listed.support_sets}:
        return listed, None, None
    snapshots = await ask(server, sets.ListSnapshotsRequest(support_set="set"))
    return listed, await ask(server, READS["ListExemplars"]), snapshots


async def asked(server, request):
    """The answer without its timings: a retry takes no time in the stages."""
    answer = await ask(server, request)
    if "timings" in answer.DESCRIPTOR.fields_by_name:
        answer.ClearField("timings")
    return answer


async def reason(server, request):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await ask(server, request)
    return dict(refused.value.trailing_metadata())["exemplar-reason"]


def revision_of(answer):
    """The revision that a read answered from; a map has it in its last event."""
    last = answer[-1].summary if isinstance(answer, list) else answer
    return last.support_set.revision if hasattr(last, "support_set") else last.revision


@each_mutation
async def test_a_retry_gets_the_first_answer_and_changes_nothing(server, request_):
    await prepare(server)
    first = await asked(server, request_)
    before = await everything(server)
    assert await asked(server, request_) == first
    assert await everything(server) == before


@each_mutation
async def test_a_retry_after_a_restart_gets_the_first_answer(settings, serving, request_):
    async with serving(settings) as server:
        await prepare(server)
        first = await asked(server, request_)
        before = await everything(server)
    async with serving(settings) as server:
        assert await asked(server, request_) == first
        assert await everything(server) == before


@each_mutation
async def test_a_request_id_of_another_request_is_refused(server, request_):
    await prepare(server)
    await ask(server, request_)
    before = await everything(server)
    other = {"name": "empty"} if hasattr(request_, "name") else {"support_set": "empty"}
    assert await reason(server, with_fields(request_, **other)) == "REQUEST_ID_REUSED"
    assert await everything(server) == before


async def test_one_request_id_may_be_of_each_method(server):
    await prepare(server)
    for request in MUTATIONS.values():
        await ask(server, request)
    listed, *_ = await everything(server)
    assert [s.name for s in listed.support_sets] == ["copy", "empty", "new"]


async def test_additions_without_request_id_are_never_retries(server):
    await prepare(server)
    request = add(exemplars=NEW[:1])
    answers = [await ask(server, request), await ask(server, request)]
    assert [answer.exemplar_count for answer in answers] == [3, 4]


@each_change
async def test_a_change_at_the_expected_revision_is_made(server, request_):
    await prepare(server)
    before = await everything(server)
    await ask(server, with_fields(request_, expected_revision=2))
    assert await everything(server) != before


@pytest.mark.parametrize("expected", [0, 3])
@each_change
async def test_a_change_at_another_revision_is_refused_and_not_made(server, request_, expected):
    await prepare(server)
    before = await everything(server)
    code, _ = await refusal(server, with_fields(request_, expected_revision=expected))
    assert code is grpc.StatusCode.ABORTED
    assert await everything(server) == before


@each_read
async def test_a_read_sees_the_change_whose_revision_it_names(server, request_):
    await prepare(server)
    await ask(server, request_)  # whatever is kept for the next read is now old
    changed = await ask(server, add(exemplars=NEW))
    answer = await ask(server, with_fields(request_, min_revision=changed.revision))
    assert revision_of(answer) == changed.revision == 3


@each_read
async def test_a_read_without_a_revision_sees_the_last_change_through_the_same_server(
    server, request_
):
    await prepare(server)
    await ask(server, request_)
    await ask(server, remove())
    assert revision_of(await ask(server, request_)) == 3


@each_read
async def test_a_read_ahead_of_every_change_is_refused(server, request_):
    await prepare(server)
    ahead = with_fields(request_, min_revision=3)
    assert await reason(server, ahead) == "REVISION_NOT_REACHED"


async def test_a_stream_answers_from_the_revision_that_each_request_names(server):
    await prepare(server)
    asked = [classify(queries=QUERIES, min_revision=revision) for revision in (2, 3, 0)]
    requests = [classification.StreamClassifyRequest(request=request) for request in asked]
    now, ahead, later = [a async for a in server.classification.StreamClassify(iter(requests))]
    assert (now.response.revision, later.response.revision) == (2, 2)
    assert ahead.error.reason == embedding.ERROR_REASON_REVISION_NOT_REACHED
