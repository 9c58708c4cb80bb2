"""EvaluateSupportSet over gRPC."""

import grpc
import pytest

from exemplar.v1 import evaluation_pb2 as pb
from exemplar.v1 import evaluation_pb2_grpc as rpc
from exemplar.v1 import support_set_pb2 as sets
from pictures import png
from rpc_calls import add, ask, prepare

LABELS = {"a": range(1, 7), "b": range(21, 27)}


async def evaluated(server, support_set="set", **options):
    stub = rpc.EvaluationServiceStub(server.channel)
    request = pb.EvaluateSupportSetRequest(support_set=support_set, **options)
    return await stub.EvaluateSupportSet(request)


async def taught_twice(server, **options):
    """Six images a label, and one of a once more as b."""
    await ask(server, sets.CreateSupportSetRequest(name="set", **options))
    labelled = [(label, n) for label, numbers in LABELS.items() for n in numbers]
    new = [
        sets.NewExemplar(label=label, image=png(n), exemplar_id=f"{label}{n}")
        for label, n in labelled
    ]
    again = sets.NewExemplar(label="b", image=png(3), exemplar_id="again")
    await ask(server, add(exemplars=[*new, again]))


async def test_labels_of_one_exemplar_have_no_recall_and_the_set_no_accuracy(server):
    await prepare(server)
    stub = rpc.EvaluationServiceStub(server.channel)
    found = await stub.EvaluateSupportSet(pb.EvaluateSupportSetRequest(support_set="set"))
    assert (found.exemplar_count, found.revision) == (2, 2)
    assert [(label.label, label.HasField("recall")) for label in found.labels] == [
        ("a", False),
        ("b", False),
    ]
    assert not found.HasField("accuracy")


@pytest.mark.parametrize("fields", [{"k": 0}, {"findings": 1001}, {"head": 99}])
async def test_a_wrong_field_is_refused(server, fields):
    await prepare(server)
    stub = rpc.EvaluationServiceStub(server.channel)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.EvaluateSupportSet(pb.EvaluateSupportSetRequest(support_set="set", **fields))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_empty_set_is_refused(server):
    await prepare(server)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await evaluated(server, "empty")
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_an_image_that_was_added_with_two_labels_is_found_and_shown(server):
    await taught_twice(server)
    found = await evaluated(server, include_thumbnails=True)
    pair = found.duplicates[0]
    assert {pair.exemplar_id, pair.other_exemplar_id} == {"a3", "again"}
    assert {pair.label, pair.other_label} == {"a", "b"}
    assert pair.similarity == pytest.approx(1, abs=1e-5)
    named = {pair.exemplar_id, pair.other_exemplar_id}
    named |= {suspect.exemplar_id for suspect in found.suspects}
    named |= {
        exemplar_id for confusion in found.confusions for exemplar_id in confusion.exemplar_ids
    }
    assert named <= set(found.thumbnails)
    assert all(thumbnail.startswith(b"\xff\xd8") for thumbnail in found.thumbnails.values())


async def test_labels_have_recalls_and_are_told_what_they_need(server):
    await taught_twice(server)
    found = await evaluated(server)
    assert [label.exemplar_count for label in found.labels] == [6, 7]
    assert found.accuracy.exemplar_count == 13
    assert all(label.HasField("recall") for label in found.labels)
    assert all(label.exemplars_needed >= 3 and label.advice for label in found.labels)
    assert not found.thumbnails


async def test_no_image_is_shown_that_is_not_kept(server):
    await taught_twice(server, keep_images=False)
    found = await evaluated(server, include_thumbnails=True)
    assert found.duplicates
    assert not found.thumbnails


async def test_findings_bound_each_kind(server):
    await taught_twice(server)
    new = [sets.NewExemplar(label="b", image=png(n), exemplar_id=f"again{n}") for n in LABELS["a"]]
    await ask(server, add(exemplars=new))
    found = await evaluated(server, findings=2)
    assert len(found.duplicates) == 2
    assert max(len(found.suspects), len(found.confusions)) <= 2
