"""Several backbones served at once: each support set is of one, and told which."""

import grpc
import pytest

import tiny_backbone
from exemplar.v1 import admin_pb2
from exemplar.v1 import embedding_pb2 as embedding
from exemplar.v1 import support_set_pb2 as sets
from pictures import png
from rpc_calls import IMAGES, add, ask, classify, metric, refusal


@pytest.fixture
def settings(settings, tmp_path):
    root = tmp_path / "backbones"
    tiny_backbone.write(root)
    tiny_backbone.write(root, offset=100.0, version="2")
    tiny_backbone.write(root, "other", offset=90.0)
    named = {"backbone_dir": root, "backbone": "tiny@1,tiny@2,other"}
    return settings.model_copy(update=named)


async def embedded(server, backbone):
    answer = await ask(server, embedding.EmbedRequest(images=[png(1)], backbone=backbone))
    return answer.fingerprint, answer.results[0].embedding.values


async def test_all_of_them_are_told_the_default_one_first(server):
    info = await server.server.GetServerInfo(admin_pb2.GetServerInfoRequest())
    listed = await server.embedding.ListBackbones(embedding.ListBackbonesRequest())
    told = [(b.name, b.version) for b in info.backbones]
    assert told == [("tiny", "1"), ("tiny", "2"), ("other", "1")]
    assert list(listed.backbones) == list(info.backbones)


async def test_a_name_is_the_first_of_its_versions_and_an_empty_one_the_default(server):
    assert await embedded(server, "") == await embedded(server, "tiny@1")
    assert await embedded(server, "tiny") == await embedded(server, "tiny@1")


async def test_each_embeds_in_its_own_space(server):
    found = [await embedded(server, name) for name in ("tiny@1", "tiny@2", "other")]
    assert len({fingerprint for fingerprint, _ in found}) == 3
    assert len({values for _, values in found}) == 3


@pytest.mark.parametrize("backbone", ["tiny@1", "tiny@2", "other", "other@1"])
async def test_a_support_set_of_each_is_classified_with_it(server, backbone):
    await ask(server, sets.CreateSupportSetRequest(name="set", backbone=backbone))
    added = await ask(server, add())
    answer = await ask(server, classify())
    assert [a.label for a in answer.answers] == ["a", "b"]
    assert answer.answers[0].similarity == pytest.approx(1.0)
    assert answer.fingerprint == added.fingerprint == (await embedded(server, backbone))[0]


@pytest.mark.parametrize("backbone", ["tiny@3", "none"])
async def test_one_that_does_not_run_is_not_found(server, backbone):
    code, message = await refusal(server, embedding.EmbedRequest(images=IMAGES, backbone=backbone))
    assert code is grpc.StatusCode.NOT_FOUND
    assert message.startswith("backbone: expected one of tiny@1, tiny@2, other@1")


@pytest.mark.parametrize("backbone", ["tiny@", "@1", "tiny@1@1", "a b"])
async def test_what_is_no_name_of_a_backbone_is_refused(server, backbone):
    code, _ = await refusal(server, embedding.EmbedRequest(images=IMAGES, backbone=backbone))
    assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_metrics_tell_them_apart(server):
    await embedded(server, "other")
    images = 'exemplar_micro_batch_images_sum{{backbone="{}"}}'
    assert await metric(server, images.format("other@1")) == 1
    assert await metric(server, images.format("tiny@1")) == 0
