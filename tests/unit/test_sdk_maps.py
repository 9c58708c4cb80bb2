"""Maps as callers ask for them: of a support set, of items, and queries placed on them."""

import pytest

from exemplar import Embedding, InvalidArgumentError, MapPosition, NewExemplar
from exemplar.v1 import map_pb2
from unit.sdk_fake_server import IMAGE_BYTES
from unit.sdk_fake_vectors import FINGERPRINT

pytest_plugins = ["unit.sdk_fixtures"]


async def test_a_map_brings_all_points_and_its_progress(client, inspection):
    seen = []
    result = await client.compute_map("inspection", on_progress=seen.append)
    assert [point.label for point in result.points] == ["ok", "scratch"]
    assert [str(progress) for progress in seen] == [
        "optimization 0/50, KL 0.000",
        "optimization 50/50, KL 0.000",
    ]


async def test_progress_that_raises_stops_the_map(client, inspection):
    def stop(progress):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        await client.compute_map("inspection", on_progress=stop)


async def test_a_map_of_items_takes_all_that_can_be_drawn(client, fake, tmp_path):
    (tmp_path / "part.png").write_bytes(b"a3")
    ready = Embedding(bytes(32), FINGERPRINT)
    named = NewExemplar("ok", b"a4", exemplar_id="mine")
    items = [b"a1", ("scratch", b"b1"), tmp_path / "part.png", ready, named]
    result = await client.compute_map_of(items, perplexity=7, seed=3)
    assert [(p.exemplar_id, p.label) for p in result.points] == [
        ("0", ""),
        ("1", "scratch"),
        (f"{tmp_path / 'part.png'}"[-128:], ""),
        ("3", ""),
        ("mine", "ok"),
    ]
    assert (result.support_set, result.revision, result.trustworthiness) == ("", 0, 0.75)
    options, *parts = fake.seen(map_pb2.ComputeMapOfItemsRequest)
    assert (options.options.perplexity, options.options.seed) == (7, 3)
    assert [len(part.items.items) for part in parts] == [4, 1]  # what fits one request


async def test_what_the_items_raise_reaches_the_caller_and_nothing_is_drawn(client, fake):
    def items():
        yield from [b"a1"] * 5
        raise ValueError("the camera is gone")

    with pytest.raises(ValueError, match="the camera is gone"):
        await client.compute_map_of(items())
    assert not fake.seen(map_pb2.ComputeMapOfItemsRequest)[-1].HasField("items")


@pytest.mark.parametrize(
    ("item", "error", "message"),
    [
        ("nowhere.png", InvalidArgumentError, r"items\[1\]: expected a readable file"),
        (bytes(IMAGE_BYTES + 1), InvalidArgumentError, r"items\[1\]: expected at most"),
    ],
    ids=["no file", "too large"],
)
async def test_an_item_that_cannot_be_used_fails_the_map(client, item, error, message):
    with pytest.raises(error, match=message):
        await client.compute_map_of([b"a1", item])


async def test_a_single_image_is_no_list_of_items(client):
    with pytest.raises(TypeError, match="items: expected a list of them, got bytes"):
        await client.compute_map_of(b"a1")


async def test_queries_are_placed_on_a_map_in_requests_that_carry_it(client, fake, inspection):
    result = await client.compute_map("inspection")
    placed = await client.place_on_map(result, [b"\x07"] * 5 + [b"bad"])
    assert placed[:5] == [MapPosition(7.0, 1.0)] * 5
    assert placed[5].error.message == "queries[5]: not an image"
    first, second = fake.seen(map_pb2.PlaceOnMapRequest)
    assert [len(first.queries), len(second.queries)] == [4, 2]
    assert [(p.exemplar_id, p.x, p.y) for p in second.points] == [
        (p.exemplar_id, p.x, p.y) for p in result.points
    ]
    assert (second.support_set, second.perplexity, second.min_revision) == ("inspection", 5.0, 2)


async def test_a_query_that_cannot_be_read_keeps_its_place(client, fake, inspection):
    result = await client.compute_map("inspection")
    missing, found = await client.place_on_map(result, ["nowhere.png", b"\x07"])
    assert (missing.error.reason, found) == ("INVALID_INPUT", MapPosition(7.0, 1.0))


async def test_no_queries_need_no_request(client, fake, inspection):
    assert await client.place_on_map(await client.compute_map("inspection"), []) == []
    assert fake.seen(map_pb2.PlaceOnMapRequest) == []
