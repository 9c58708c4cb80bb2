"""Evaluations as callers ask for them and get them. Each claim holds for both clients."""

import json

import pytest

from exemplar import Accuracy, Confusion, Duplicate, InvalidArgumentError
from exemplar.v1 import classification_pb2, evaluation_pb2
from unit.sdk_fake_vectors import FINGERPRINT

pytest_plugins = ["unit.sdk_fixtures"]

Request = evaluation_pb2.EvaluateSupportSetRequest


@pytest.fixture
async def mixed(client):
    """The last is a scratch like the other ones, but is called ok; one label is alone."""
    await client.create_support_set("mixed")
    images = [b"a1", b"a2", b"b1", b"b2", b"b2", b"c1"]
    labels = ["ok", "ok", "scratch", "scratch", "ok", "dent"]
    await client.add_exemplars("mixed", list(zip(labels, images, strict=True)))


async def test_what_the_server_finds_arrives_whole(client, mixed):
    found = await client.evaluate("mixed", head="knn")
    assert (found.support_set, found.revision, found.fingerprint) == ("mixed", 3, FINGERPRINT)
    assert (found.head, found.exemplar_count) == ("knn", 6)
    assert found.accuracy == Accuracy(0.5, 0.25, 1.0, 6)
    assert Confusion("scratch", "ok", 1, ("id-00003",)) in found.confusions
    assert found.suggestions["id-00004"] == "scratch"
    assert found.suspects[0].neighbors[0].exemplar_id == "id-00004"
    assert found.duplicates == (
        Duplicate("id-00003", "scratch", "id-00004", "ok", pytest.approx(1.0, abs=1e-6)),
    )


async def test_a_label_says_what_it_needs(client, mixed):
    dent, ok, _ = (await client.evaluate("mixed")).labels
    assert (dent.recall, dent.exemplars_needed, dent.advice) == (None, 1, "it has 1 exemplar")
    assert (ok.recall.exemplar_count, ok.exemplars_needed, ok.advice) == (3, 0, "")


@pytest.mark.parametrize(("other", "is_contradiction"), [("ok", False), ("scratch", True)])
def test_duplicates_of_two_labels_contradict_each_other(other, is_contradiction):
    assert Duplicate("a", "ok", "b", other, 1.0).is_contradiction is is_contradiction


async def test_thumbnails_come_where_asked_for(client, mixed):
    assert (await client.evaluate("mixed")).thumbnails == {}
    thumbnails = (await client.evaluate("mixed", thumbnails=True)).thumbnails
    assert thumbnails["id-00005"] == b"\xff\xd8dent"


async def test_what_is_asked_for_is_sent(client, mixed, fake):
    await client.evaluate("mixed")
    await client.evaluate("mixed", head="ridge", k=3, min_revision=1, thumbnails=True, findings=7)
    assert fake.seen(Request) == [
        Request(support_set="mixed", min_revision=3),
        Request(
            support_set="mixed",
            head=classification_pb2.HEAD_RIDGE,
            k=3,
            min_revision=1,
            findings=7,
            include_thumbnails=True,
        ),
    ]


async def test_an_unknown_head_is_refused_before_anything_is_sent(client, mixed, fake):
    with pytest.raises(InvalidArgumentError, match="head"):
        await client.evaluate("mixed", head="wizard")
    assert fake.seen(Request) == []


async def test_json_can_hold_all_but_the_thumbnails(client, mixed):
    told = (await client.evaluate("mixed", thumbnails=True)).to_dict()
    assert json.loads(json.dumps(told))["labels"][0]["advice"] == "it has 1 exemplar"
    assert told["duplicates"][0]["other_exemplar_id"] == "id-00004"
    assert "thumbnails" not in told
