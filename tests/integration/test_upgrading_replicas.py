"""Two servers over one PostgreSQL upgrade a support set together, and answer of one space."""

import asyncio

import pytest

import tiny_backbone
from exemplar import AsyncClient, NewExemplar
from pictures import png

EXEMPLARS = [
    NewExemplar(f"label{n}", png(n, size), exemplar_id=f"{n}-{size}")
    for n in range(40)
    for size in (32, 64)
]
QUERIES = [png(n, 48) for n in range(8)]


@pytest.fixture
def settings(settings, tmp_path, postgres_url):
    root = tmp_path / "backbones"
    tiny_backbone.write(root)
    tiny_backbone.write(root, offset=100.0, version="2")
    named = {"backbone_dir": root, "backbone": "tiny@1,tiny@2", "store_url": postgres_url}
    return settings.model_copy(update=named)


async def asked_until(client, is_over):
    """Answers of one server, again and again, while the other one starts the upgrade."""
    answers = []
    while not is_over():
        answers += await client.classify("set", QUERIES)
    return answers


async def test_what_one_server_starts_both_do_and_both_answer_with(serving, settings):
    async with (
        serving(settings) as one,
        serving(settings) as other,
        AsyncClient(one.address) as first,
        AsyncClient(other.address) as second,
    ):
        await first.create_support_set("set")
        await first.add_exemplars("set", EXEMPLARS)
        (old,) = await second.embed(QUERIES[:1])
        await second.classify("set", QUERIES)
        before = await second.get_support_set("set")
        upgrading = asyncio.create_task(upgraded(first))
        answers = await asked_until(second, upgrading.done)
        upgrade = await upgrading
        after = await second.get_support_set("set", min_revision=upgrade.revision)
        answers += await second.classify("set", QUERIES, min_revision=upgrade.revision)
        (refused,) = await second.classify("set", [old], min_revision=upgrade.revision)
    assert after.fingerprint == upgrade.to_fingerprint != before.fingerprint
    assert refused.error.reason == "FINGERPRINT_MISMATCH"
    assert {answer.label for answer in answers} == {f"label{n}" for n in range(8)}
    assert all(answer.similarity > 0.99 for answer in answers)


async def upgraded(client):
    await client.start_upgrade("set", "tiny@2")
    return await client.wait_for_upgrade("set")
