"""Two servers over one PostgreSQL are one service: what one acknowledged, the other one has."""

import pytest

from exemplar.v1 import classification_pb2 as classification
from pictures import png
from process_calls import addition, removal, serving


@pytest.fixture
def replicas(backbone_dir, tmp_path, postgres_url):
    """Calls of two servers; each is a process of its own."""
    settings = {"EXEMPLAR_STORE_URL": postgres_url}
    with (
        serving(backbone_dir, tmp_path, **settings) as (_, one),
        serving(backbone_dir, tmp_path, **settings) as (_, other),
    ):
        yield one, other


def nearest(calls, exemplar_id, min_revision):
    """The exemplar nearest to the picture of this one."""
    query = classification.Query(image=png(sum(exemplar_id.encode())))
    request = classification.ClassifyRequest(
        support_set="set", queries=[query], include_neighbors=True, min_revision=min_revision
    )
    (answer,) = calls.classification.Classify(request).answers
    return answer.neighbors[0].exemplar_id


def test_what_one_server_acknowledged_another_one_answers_from(replicas):
    one, other = replicas
    one.create("set")
    for exemplar_id in ("a0", "b0", "c0"):
        revision = one.change(addition("set", [exemplar_id])).revision
        assert nearest(other, exemplar_id, revision) == exemplar_id


def test_one_request_sent_to_both_is_one_change(replicas):
    one, other = replicas
    one.create("set")
    added = one.change(addition("set", ["a", "b"], request_id="added"))
    again = other.change(addition("set", ["a", "b"], request_id="added"))
    assert (again.revision, again.results) == (added.revision, added.results)
    removed = other.change(removal("set", ["a"], request_id="removed"))
    assert one.change(removal("set", ["a"], request_id="removed")) == removed
    assert one.ids("set") == other.ids("set") == {"b"}
