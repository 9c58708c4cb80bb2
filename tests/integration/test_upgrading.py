"""Support sets move to another backbone through the SDK and the command line, on a real server."""

import asyncio
from contextlib import asynccontextmanager

import pytest

import tiny_backbone
from exemplar import (
    AsyncClient,
    FailedPreconditionError,
    InvalidArgumentError,
    NewExemplar,
    NotFoundError,
    cli,
)
from pictures import png
from rpc_calls import metric_reaches

LABELS = [f"label{n}" for n in range(8)]
# Two sizes of each picture: nearly the same embedding.
EXEMPLARS = [
    NewExemplar(label, png(n, size), exemplar_id=f"{label}-{size}")
    for n, label in enumerate(LABELS)
    for size in (32, 64)
]
QUERIES = [png(n, 48) for n in range(len(LABELS))]
# So far from every pixel that float32 cannot tell pictures apart.
USELESS = 1e9


@pytest.fixture
def settings(settings, tmp_path):
    root = tmp_path / "backbones"
    tiny_backbone.write(root)
    tiny_backbone.write(root, offset=100.0, version="2")
    tiny_backbone.write(root, "useless", offset=USELESS)
    named = {"backbone_dir": root, "backbone": "tiny@1,tiny@2,useless"}
    return settings.model_copy(update=named)


@asynccontextmanager
async def connected(server, tenant=None):
    async with AsyncClient(server.address, tenant=tenant) as client:
        yield client


@pytest.fixture
async def client(server):
    async with connected(server) as client:
        yield client


async def teach(client, name="set", **options):
    await client.create_support_set(name, **options)
    await client.add_exemplars(name, EXEMPLARS)


async def labels(client, name="set"):
    return [answer.label for answer in await client.classify(name, QUERIES)]


async def upgraded(client, backbone="tiny@2", **options):
    await client.start_upgrade("set", backbone, **options)
    return await client.wait_for_upgrade("set")


async def command(server, *arguments):
    """The exit code of the command line, which blocks."""
    return await asyncio.to_thread(cli.main, ["--server", server.address, *arguments])


async def test_a_support_set_moves_to_a_new_version_of_its_backbone(client):
    await teach(client)
    before = await client.get_support_set("set")
    upgrade = await upgraded(client)
    after = await client.get_support_set("set")
    assert (upgrade.state, upgrade.from_backbone, upgrade.to_backbone) == (
        "SWITCHED",
        "tiny@1",
        "tiny@2",
    )
    assert upgrade.embedded_count == upgrade.exemplar_count == len(EXEMPLARS)
    assert upgrade.gate.old_accuracy == upgrade.gate.new_accuracy == 1.0
    assert (after.fingerprint, after.revision) == (upgrade.to_fingerprint, before.revision + 1)
    assert await labels(client) == LABELS


async def test_a_worse_backbone_is_refused_unless_it_is_wanted(client):
    await teach(client)
    refused = await upgraded(client, "useless")
    assert refused.state == "REFUSED"
    assert refused.gate.new_accuracy < refused.gate.old_accuracy - 0.01
    assert await labels(client) == LABELS
    forced = await upgraded(client, "useless", even_if_worse=True)
    assert (forced.state, forced.gate) == ("SWITCHED", refused.gate)


async def test_a_rollback_answers_as_before(client):
    await teach(client)
    before = await client.classify("set", QUERIES)
    await upgraded(client, "useless", even_if_worse=True)
    assert (await client.roll_back_upgrade("set")).state == "ROLLED_BACK"
    after = await client.classify("set", QUERIES)
    assert [a.neighbors for a in after] == [a.neighbors for a in before]


async def test_ready_made_embeddings_of_the_old_backbone_are_refused_after_the_switch(client):
    await teach(client)
    (embedding,) = await client.embed([QUERIES[0]])
    await upgraded(client)
    (answer,) = await client.classify("set", [embedding])
    assert answer.error.reason == "FINGERPRINT_MISMATCH"
    assert "tiny" in answer.error.message


async def test_support_sets_without_images_are_listed_with_what_they_need(client):
    await teach(client, "bare", keep_images=False)
    await teach(client)
    needs = {u.support_set: u async for u in client.list_upgrades(backbone="tiny@2")}
    told = {name: (u.state, u.needs_images_count) for name, u in needs.items()}
    assert told == {"bare": ("UNSPECIFIED", len(EXEMPLARS)), "set": ("UNSPECIFIED", 0)}
    with pytest.raises(FailedPreconditionError, match="16 of 16 exemplars have no kept image"):
        await client.start_upgrade("bare", "tiny@2")
    assert [u async for u in client.list_upgrades()] == []


async def test_what_cannot_be_asked_is_refused_in_words(client):
    await teach(client)
    with pytest.raises(InvalidArgumentError, match="backbone: expected a name in ListBackbones"):
        await client.start_upgrade("set", "")
    with pytest.raises(NotFoundError, match="expected one of tiny@1, tiny@2, useless@1"):
        await client.start_upgrade("set", "huge")
    with pytest.raises(NotFoundError, match="support set 'set' has no upgrade"):
        await client.get_upgrade("set")
    with pytest.raises(FailedPreconditionError, match="is of backbone tiny@1 already") as refused:
        await client.start_upgrade("set", "tiny")
    assert refused.value.reason == "UPGRADE_REFUSED"


async def test_two_tenants_upgrade_support_sets_of_one_name_apart(server, client):
    await teach(client)
    async with connected(server, "other") as other:
        await teach(other)
        await upgraded(other)
        assert [u.support_set async for u in other.list_upgrades()] == ["set"]
        assert [u async for u in client.list_upgrades()] == []
        assert (await client.get_support_set("set")).fingerprint != (
            await other.get_support_set("set")
        ).fingerprint


async def test_an_upgrade_goes_on_when_the_server_starts_again(serving, settings):
    async with serving(settings) as server, connected(server) as client:
        await teach(client)
        await client.start_upgrade("set", "tiny@2")
    async with serving(settings) as server, connected(server) as client:
        assert (await client.wait_for_upgrade("set")).state == "SWITCHED"
        assert await labels(client) == LABELS


async def test_a_server_without_the_backbone_says_which_it_lacks(serving, settings):
    async with serving(settings) as server, connected(server) as client:
        await teach(client)
        await upgraded(client)
    fewer = settings.model_copy(update={"backbone": "tiny@1"})
    async with serving(fewer) as server, connected(server) as client:
        with pytest.raises(FailedPreconditionError, match=r"this server runs tiny@1 \("):
            await labels(client)


async def test_a_server_without_the_old_backbone_does_not_roll_back(serving, settings):
    async with serving(settings) as server, connected(server) as client:
        await teach(client)
        await upgraded(client)
    fewer = settings.model_copy(update={"backbone": "tiny@2"})
    async with serving(fewer) as server, connected(server) as client:
        with pytest.raises(FailedPreconditionError, match=r"backbone tiny@1 .* runs tiny@2 \("):
            await client.roll_back_upgrade("set")
        assert await labels(client) == LABELS


async def test_metrics_tell_how_many_are_under_way(server, client):
    await teach(client)
    await upgraded(client)
    await metric_reaches(server, "exemplar_upgrades_under_way", 0)


async def test_the_command_upgrades_waits_and_tells_both_figures(server, client, capsys):
    await teach(client)
    assert await command(server, "upgrade", "set", "--to", "tiny@2", "--wait") == 0
    assert (  # the server logs to the same place
        "set: tiny@1 -> tiny@2: switched, 16 of 16 embedded\n"
        "answered right by the others (of 16): 100.0% before, 100.0% after\n"
    ) in capsys.readouterr().out
    assert await command(server, "upgrade", "set", "--roll-back") == 0
    assert "rolled back" in capsys.readouterr().out
    assert await command(server, "upgrade", "set", "--finish") == 0
    assert await command(server, "upgrade", "set") == 1  # there is none any more


async def test_the_command_fails_where_the_gate_refuses(server, client, capsys):
    await teach(client)
    assert await command(server, "upgrade", "set", "--to", "useless", "--wait") == 1
    assert "refused" in capsys.readouterr().out
    assert await command(server, "upgrade", "set", "--cancel") == 0
    assert [u async for u in client.list_upgrades()] == []


async def test_the_command_lists_what_is_needed(server, client, capsys):
    await teach(client, "bare", keep_images=False)
    assert await command(server, "upgrade", "--list", "--to", "tiny@2") == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("bare")]
    assert row.split() == ["bare", "tiny@1", "tiny@2", "not", "begun", "0/16", "16", "-"]
    assert await command(server, "upgrade") == 1
    assert "SET: expected a support set, or --list" in capsys.readouterr().err
