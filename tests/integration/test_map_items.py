"""Maps of images and embeddings that are in no support set, and queries on maps drawn before."""

import grpc
import numpy as np
import pytest

import tiny_backbone
from exemplar.v1 import classification_pb2 as classification
from exemplar.v1 import embedding_pb2 as embedding
from exemplar.v1 import map_pb2 as maps
from exemplar.v1 import support_set_pb2 as sets
from pictures import png
from rpc_calls import ask, refusal, taught

INVALID = grpc.StatusCode.INVALID_ARGUMENT
QUERIES = [classification.Query(image=png(n)) for n in range(3)]


def options(**fields):
    return maps.ComputeMapOfItemsRequest(options=maps.MapItemsOptions(**fields))


def part(*items):
    return maps.ComputeMapOfItemsRequest(items=maps.MapItems(items=items))


def item(number, **fields):
    """Of this number's picture, unless the fields say otherwise."""
    content = {} if "embedding" in fields else {"image": png(number)}
    return maps.MapItem(**({"id": f"item {number}", "label": f"{number % 2}"} | content | fields))


async def drawn(server, *requests):
    """Progress, points and summary."""
    events = [event async for event in server.maps.ComputeMapOfItems(iter(requests))]
    points = [point for event in events for point in event.points.points]
    return [e.progress for e in events if e.HasField("progress")], points, events[-1].summary


async def refused(server, *requests):
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await drawn(server, *requests)
    return failure.value.code(), failure.value.details()


async def fingerprint(server):
    return (await ask(server, embedding.EmbedRequest(images=[png(0)]))).fingerprint


# Items


async def test_images_sent_in_parts_are_drawn_in_their_order(server):
    parts = [part(*map(item, range(start, start + 5))) for start in (0, 5, 10, 15)]
    progress, points, summary = await drawn(server, options(iterations=25), *parts)
    assert [p.exemplar_id for p in points] == [f"item {n}" for n in range(20)]
    assert [p.label for p in points] == ["0", "1"] * 10
    assert all(p.thumbnail.startswith(b"\xff\xd8\xff") for p in points)
    assert (summary.revision, summary.point_count) == (0, 20)
    assert summary.perplexity == pytest.approx(19 / 3)
    assert (summary.HasField("trustworthiness"), summary.HasField("label_agreement")) == (True,) * 2
    assert progress[-1].phase == maps.MAP_PHASE_DELIVERY


async def test_embeddings_are_drawn_without_thumbnails_beside_images(server):
    response = await ask(server, embedding.EmbedRequest(images=[png(0)]))
    ready = item(0, embedding=response.results[0].embedding)
    _, points, summary = await drawn(server, options(), part(ready, item(1)))
    assert [bool(p.thumbnail) for p in points] == [False, True]
    assert summary.fingerprint == response.fingerprint


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_few_items_are_laid_on_a_line_without_measures(server, count):
    _, points, summary = await drawn(server, options(), part(*map(item, range(count))))
    assert [(p.x, p.y) for p in points] == [(n, 0) for n in range(count)]
    assert (summary.perplexity, summary.HasField("trustworthiness")) == (0, False)


NO_CONTENT = maps.MapItem(id="x")
WRONG_ITEMS = {
    "no request": ([], "options: expected in the first request, got none"),
    "items first": ([part(item(0))], "options: expected in the first request, got items"),
    "options twice": (
        [options(), options()],
        "items: expected in every request but the first, got options",
    ),
    "no items": ([options()], "items: expected 1..4, got none"),
    "too many": (
        [options(), *(part(item(n)) for n in range(5))],
        "items: expected 1..4, got more",
    ),
    "too many images at once": (
        [options(), part(*map(item, range(3)))],
        "images of one request: expected 1..2, got 3",
    ),
    "no content": (
        [options(), part(item(0)), part(NO_CONTENT)],
        "items[1]: expected an image or an embedding, got neither",
    ),
    "a bad image": (
        [options(), part(item(0), item(1)), part(item(2, image=b"no image"))],
        "items[2].image: expected a JPEG, PNG or WebP image, got 8 bytes that start b'no image'",
    ),
    "a long id": (
        [options(), part(item(0, id=129 * "x"))],
        "items[0].id: expected up to 128 characters, got 129",
    ),
    "a long label": (
        [options(), part(item(0, label=129 * "x"))],
        "items[0].label: expected 1..128 characters, got 129",
    ),
    "perplexity 0": ([options(perplexity=0)], "perplexity: expected finite and above 0, got 0"),
    "perplexity -1": ([options(perplexity=-1)], "perplexity: expected finite and above 0, got -1"),
    "perplexity NaN": (
        [options(perplexity=float("nan"))],
        "perplexity: expected finite and above 0, got nan",
    ),
    "iterations 0": ([options(iterations=0)], "iterations: expected 1..2000, got 0"),
}


@pytest.fixture
async def strict(settings, serving):
    """A server that allows four points and two images a request."""
    limits = {"map_points": 4, "images_per_request": 2}
    async with serving(settings.model_copy(update=limits)) as started:
        yield started


@pytest.mark.parametrize(("requests", "message"), list(WRONG_ITEMS.values()), ids=list(WRONG_ITEMS))
async def test_wrong_items_are_refused_in_words_and_leave_the_tenants_turn_free(
    strict, requests, message
):
    assert await refused(strict, *requests) == (INVALID, message)
    _, points, _ = await drawn(strict, options(), part(item(0)))
    assert len(points) == 1


async def test_an_embedding_with_nan_is_refused(server):
    values = np.full(tiny_backbone.DIM, np.nan, "<f4").tobytes()
    broken = embedding.Embedding(
        values=values, dim=tiny_backbone.DIM, fingerprint=await fingerprint(server)
    )
    code, message = await refused(server, options(), part(item(0), item(1, embedding=broken)))
    assert code is INVALID
    assert message == "items[1].embedding: expected finite values, not all zero"


async def test_an_unknown_backbone_is_not_found(server):
    code, message = await refused(server, options(backbone="other"), part(item(0)))
    assert (code, message) == (
        grpc.StatusCode.NOT_FOUND,
        "backbone: expected one of tiny@1, got 'other'",
    )


# Placing


def placing(points, queries=QUERIES, perplexity=30.0, **fields):
    return maps.PlaceOnMapRequest(
        support_set="set", points=points, queries=queries, perplexity=perplexity, **fields
    )


def placed_at(*places):
    """Exemplar number n at the n-th place."""
    return [maps.PlacedExemplar(exemplar_id=f"{n}", x=x, y=y) for n, (x, y) in enumerate(places)]


CIRCLE = placed_at(*((np.cos(a) * 10, np.sin(a) * 10) for a in np.linspace(0, 6, 20)))


def positions(response):
    return [(r.position.x, r.position.y) for r in response.results]


async def test_queries_are_placed_near_their_likes_and_twice_in_the_same_place(server):
    await taught(server, [png(n) for n in range(20)])
    response = await ask(server, placing(CIRCLE))
    distances_QN = np.linalg.norm(
        np.array(positions(response))[:, None] - [(p.x, p.y) for p in CIRCLE], axis=2
    )
    assert distances_QN.argmin(axis=1).tolist() == [0, 1, 2]
    assert response.revision == 2
    assert await ask(server, placing(CIRCLE)) == response


@pytest.mark.parametrize(("count", "perplexity"), [(1, 30), (3, 30), (20, 0)])
async def test_without_a_t_sne_map_a_query_takes_its_nearest_exemplars_place(
    server, count, perplexity
):
    await taught(server, [png(n) for n in range(20)])
    response = await ask(server, placing(CIRCLE[:count], QUERIES[:1], perplexity))
    assert positions(response) == [(CIRCLE[0].x, CIRCLE[0].y)]


async def test_exemplars_that_are_gone_or_new_have_no_part_in_it(server):
    await taught(server, [png(n) for n in range(4)])
    await ask(server, sets.RemoveExemplarsRequest(support_set="set", exemplar_ids=["0"]))
    response = await ask(server, placing(placed_at((5, 5), (7, 7)), QUERIES[:1], 0))
    assert positions(response) == [(7, 7)]


async def test_a_query_that_cannot_be_used_costs_itself_only(server):
    await taught(server, [png(n) for n in range(4)])
    queries = [QUERIES[0], classification.Query(image=b"no image"), QUERIES[1]]
    response = await ask(server, placing(placed_at((1, 1), (2, 2)), queries, 0))
    assert [r.WhichOneof("result") for r in response.results] == ["position", "error", "position"]
    assert response.results[1].error.reason == embedding.ERROR_REASON_UNDECODABLE_IMAGE
    assert response.results[1].error.message.startswith("queries[1].image")


WRONG_PLACINGS = {
    "no points": (placing([], QUERIES[:1]), "points: expected 1..4, got none"),
    "too many points": (placing(CIRCLE[:5], QUERIES[:1]), "points: expected 1..4, got 5"),
    "no queries": (placing(CIRCLE[:1], []), "queries: expected 1..2, got none"),
    "too many queries": (placing(CIRCLE[:1]), "queries: expected 1..2, got 3"),
    "one twice": (
        placing([*CIRCLE[:1], *CIRCLE[:1]], QUERIES[:1]),
        "points[1].exemplar_id: expected each once, got '0' again",
    ),
    "a bad id": (
        placing([maps.PlacedExemplar(exemplar_id="/")], QUERIES[:1]),
        "points[0].exemplar_id: expected [A-Za-z0-9._-]{1,64}, not . or .., got '/'",
    ),
    "a place of NaN": (
        placing(placed_at((0, float("nan"))), QUERIES[:1]),
        "points[0]: expected finite x and y, got 0.0, nan",
    ),
    "a negative perplexity": (
        placing(CIRCLE[:1], QUERIES[:1], -1),
        "perplexity: expected finite and above 0, got -1",
    ),
    "others' points": (
        placing([maps.PlacedExemplar(exemplar_id="x")], QUERIES[:1]),
        "points: expected exemplars of support set 'set', got 1 ids that are none of its",
    ),
}


@pytest.mark.parametrize(
    ("request_", "message"), list(WRONG_PLACINGS.values()), ids=list(WRONG_PLACINGS)
)
async def test_a_wrong_placing_is_refused_in_words(strict, request_, message):
    await taught(strict, [png(0), png(1)])
    assert await refusal(strict, request_) == (INVALID, message)
