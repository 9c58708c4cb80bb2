"""Support sets that leave a server as a file and come into one again, over gRPC and by the SDK."""

import asyncio

import pytest

import tiny_backbone
from exemplar import (
    AlreadyExistsError,
    AsyncClient,
    Client,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
)
from exemplar.cli import main
from pictures import png

IMAGES = [png(n) for n in range(40)]
QUERIES = [png(1000 + n) for n in range(100)]


@pytest.fixture
def on_server(server):
    """Runs a function with a blocking client on a thread of its own."""

    async def run(function, *args, tenant="acme"):
        def call():
            with Client(server.address, tenant=tenant) as client:
                return function(client, *args)

        return await asyncio.to_thread(call)

    return run


def taught(client, name="set", images=IMAGES, **options):
    client.create_support_set(name, **options)
    new = [(f"label {n % 4}", image) for n, image in enumerate(images)]
    client.add_exemplars(name, new)


def answered(client, name, queries=QUERIES):
    """What each query is answered by: ids, similarities and label."""
    return [
        (a.label, [(n.exemplar_id, n.similarity) for n in a.neighbors])
        for a in client.classify(name, queries)
    ]


def there_and_back(client, path):
    taught(client)
    exported = client.export_support_set("set", path)
    made = client.import_support_set(path, "again")
    return exported, made, answered(client, "set"), answered(client, "again")


async def test_a_support_set_that_came_back_answers_as_before(on_server, tmp_path):
    exported, made, before, after = await on_server(there_and_back, tmp_path / "set.tar")
    assert (exported.name, exported.exemplar_count) == ("set", 40)
    assert (made.name, made.exemplar_count, made.fingerprint) == ("again", 40, exported.fingerprint)
    assert before == after


async def test_the_asyncio_client_does_the_same(server, tmp_path):
    async with AsyncClient(server.address, tenant="acme") as client:
        await client.create_support_set("set")
        await client.add_exemplars("set", [("a", IMAGES[0])])
        await client.export_support_set("set", tmp_path / "set.tar", progress=True)
        made = await client.import_support_set(tmp_path / "set.tar", "again", progress=True)
        assert (made.exemplar_count, made.labels) == (1, {})
        assert (await client.get_support_set("again")).labels == {"a": 1}


async def test_the_images_are_in_the_file_as_they_were_added(on_server, tmp_path):
    path = tmp_path / "set.tar"

    def export(client):
        taught(client, images=IMAGES[:2])
        client.export_support_set("set", path)

    await on_server(export)
    assert all(image in path.read_bytes() for image in IMAGES[:2])


async def test_a_server_with_another_backbone_says_which_is_needed_or_embeds_anew(
    serving, settings, on_server, tmp_path
):
    path = tmp_path / "set.tar"
    await on_server(lambda client: (taught(client), client.export_support_set("set", path)))
    tiny_backbone.write(tmp_path / "other", "other", offset=100.0)
    other = settings.model_copy(
        update={
            "backbone_dir": tmp_path / "other",
            "store_url": f"sqlite:///{tmp_path}/other.db",
        }
    )
    async with serving(other) as elsewhere, AsyncClient(elsewhere.address) as client:
        with pytest.raises(FailedPreconditionError, match="40 of 40 exemplars have the image"):
            await client.import_support_set(path, "set")
        made = await client.import_support_set(path, "set", reembed=True)
        await client.create_support_set("direct")
        named = await _by_id(client, "set")
        await client.add_exemplars("direct", [("x", image) for image in IMAGES])
        assert made.backbone == "other"
        assert sorted(named.values()) == sorted((await _by_id(client, "direct")).values())


async def _by_id(client, name):
    listed = [e async for e in client.list_exemplars(name, embeddings=True)]
    return {e.exemplar_id: bytes(e.embedding.values) for e in listed}


async def test_embedding_anew_needs_every_image(on_server, tmp_path):
    def run(client):
        taught(client, images=IMAGES[:2], keep_images=False)
        client.export_support_set("set", tmp_path / "set.tar")
        client.import_support_set(tmp_path / "set.tar", "again", reembed=True)

    with pytest.raises(FailedPreconditionError, match="got none of 2 of 2"):
        await on_server(run)


async def test_a_support_set_without_images_comes_back(on_server, tmp_path):
    def run(client):
        taught(client, images=IMAGES[:3], keep_images=False)
        client.export_support_set("set", tmp_path / "set.tar")
        return client.import_support_set(tmp_path / "set.tar", "again")

    made = await on_server(run)
    assert (made.exemplar_count, made.keep_images) == (3, False)


async def test_an_empty_support_set_comes_back(on_server, tmp_path):
    def run(client):
        client.create_support_set("set")
        client.export_support_set("set", tmp_path / "set.tar")
        return client.import_support_set(tmp_path / "set.tar", "again")

    assert (await on_server(run)).exemplar_count == 0


async def test_a_tenant_cannot_export_what_is_anothers(on_server, tmp_path):
    await on_server(taught)
    with pytest.raises(NotFoundError):
        await on_server(
            lambda client: client.export_support_set("set", tmp_path / "set.tar"), tenant="other"
        )
    assert list(tmp_path.glob("*set.tar*")) == []  # no part of it is left either


async def test_a_file_is_the_tenants_own_when_it_comes_in(on_server, tmp_path):
    path = tmp_path / "set.tar"
    await on_server(lambda client: (taught(client), client.export_support_set("set", path)))
    await on_server(lambda client: client.import_support_set(path, "set"), tenant="other")
    names = [
        [s.name for s in await on_server(lambda c: list(c.list_support_sets()), tenant=tenant)]
        for tenant in ("acme", "other")
    ]
    assert names == [["set"], ["set"]]


async def test_a_taken_name_is_refused_and_a_retry_is_not(on_server, tmp_path):
    path = tmp_path / "set.tar"

    def run(client):
        taught(client, images=IMAGES[:2])
        client.export_support_set("set", path)
        first = client.import_support_set(path, "again", request_id="1")
        assert client.import_support_set(path, "again", request_id="1") == first
        client.import_support_set(path, "again")

    with pytest.raises(AlreadyExistsError, match="'again'"):
        await on_server(run)


async def test_a_request_id_of_another_file_is_refused(on_server, tmp_path):
    def run(client):
        taught(client, images=IMAGES[:2])
        client.export_support_set("set", tmp_path / "1.tar")
        client.add_exemplars("set", [("x", IMAGES[5])])
        client.export_support_set("set", tmp_path / "2.tar")
        client.import_support_set(tmp_path / "1.tar", "again", request_id="1")
        client.import_support_set(tmp_path / "2.tar", "again", request_id="1")

    with pytest.raises(InvalidArgumentError, match="request_id"):
        await on_server(run)


@pytest.mark.parametrize("cut", [0, 1, 600, -1])
async def test_a_truncated_file_leaves_nothing(on_server, tmp_path, cut):
    path = tmp_path / "set.tar"

    def run(client):
        taught(client, images=IMAGES[:2])
        client.export_support_set("set", path)
        path.write_bytes(path.read_bytes()[:cut])
        with pytest.raises(InvalidArgumentError, match="corrupt or incomplete"):
            client.import_support_set(path, "again")
        return [s.name for s in client.list_support_sets()]

    assert await on_server(run) == ["set"]


@pytest.fixture
def bounded(settings):
    return settings.model_copy(
        update={"transfer_bytes": 20_000, "tenant_exemplars": 5, "label_characters": 8}
    )


async def test_what_is_above_a_limit_or_a_quota_is_refused(serving, bounded, tmp_path):
    async with serving(bounded) as server, AsyncClient(server.address) as client:
        await client.create_support_set("set")
        new = [("a", image) for image in IMAGES[:3]]
        await client.add_exemplars("set", new)
        await client.export_support_set("set", tmp_path / "set.tar")
        with pytest.raises(ResourceExhaustedError, match="quota"):
            await client.import_support_set(tmp_path / "set.tar", "again")
        with (tmp_path / "big.tar").open("wb") as file:
            file.truncate(20_001)
        with pytest.raises(InvalidArgumentError, match="EXEMPLAR_TRANSFER_BYTES"):
            await client.import_support_set(tmp_path / "big.tar", "again")
        assert [s.name async for s in client.list_support_sets()] == ["set"]


async def test_an_export_above_the_limit_is_refused(serving, settings, tmp_path):
    small = settings.model_copy(update={"transfer_bytes": 4000})
    async with serving(small) as server, AsyncClient(server.address) as client:
        await client.create_support_set("set")
        await client.add_exemplars("set", [("a", image) for image in IMAGES[:3]])
        with pytest.raises(InvalidArgumentError, match="EXEMPLAR_TRANSFER_BYTES"):
            await client.export_support_set("set", tmp_path / "set.tar")


async def test_what_add_exemplars_refuses_an_import_refuses(serving, settings, on_server, tmp_path):
    path = tmp_path / "set.tar"

    def run(client):
        client.create_support_set("set")
        client.add_exemplars("set", [("a label of some length", IMAGES[0])])
        client.export_support_set("set", path)

    await on_server(run)
    strict = settings.model_copy(
        update={"label_characters": 8, "store_url": f"sqlite:///{tmp_path}/other.db"}
    )
    async with serving(strict) as elsewhere, AsyncClient(elsewhere.address) as client:
        with pytest.raises(InvalidArgumentError, match=r"exemplars\[0\]\.label: expected 1\.\.8"):
            await client.import_support_set(path, "set")


# The command line


async def test_the_command_line_exports_and_imports(server, on_server, tmp_path, capsys):
    await on_server(lambda client: taught(client, images=IMAGES[:2]), tenant="default")
    path = tmp_path / "set.tar"

    async def run(*words):
        return await asyncio.to_thread(main, ["--server", server.address, "sets", *words])

    assert await run("export", "set", str(path)) == 0
    assert await run("import", str(path), "again") == 0
    assert await run("import", str(path)) == 1  # by the name that it had, which is taken
    assert await run("import", __file__) == 1
    told = capsys.readouterr()
    assert f"{path}: 2 exemplars, revision 2, " in told.out
    assert "again: 2 exemplars, revision 2" in told.out
    assert "'set' already" in told.err
    assert "expected a file that sets export wrote" in told.err
