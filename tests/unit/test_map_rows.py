"""Items of a map: embedded part by part, waiting for room, ended by the first that is wrong."""

from dataclasses import dataclass

import numpy as np
import pytest

from exemplar_server.core import map_rows
from exemplar_server.core.map_rows import MapItem
from exemplar_server.core.thumbnails import Thumbnails
from exemplar_server.errors import LimitExceededError, OverloadedError, UndecodableImageError
from fakes import BAD_IMAGE, DIM, FINGERPRINT, FakeEmbedder, FakeStore
from service_calls import CALL, image_of, vector_of


def item(number, content):
    return MapItem(f"item {number}", "label", content)


async def rows_of(*parts, embedder=None, most=10):
    async def sent():
        for part in parts:
            yield part

    thumbnails = Thumbnails(FakeStore(), bytes.upper)
    return await map_rows.of_items(CALL, embedder or FakeEmbedder(), sent(), thumbnails, most)


async def test_parts_become_rows_in_their_order():
    first = [item(0, image_of(0)), item(1, vector_of(1))]
    rows = await rows_of(first, [item(2, image_of(2))])
    np.testing.assert_array_equal(rows.embeddings_ND, np.eye(DIM)[:3])
    assert rows.ids == ["item 0", "item 1", "item 2"]
    assert (rows.fingerprint, rows.revision) == (FINGERPRINT, 0)


async def test_images_have_thumbnails_and_embeddings_have_none():
    rows = await rows_of([item(n, image_of(0)) for n in range(9)] + [item(9, vector_of(1))])
    assert await rows.thumbnails(slice(8, 10)) == [image_of(0).upper(), b""]


async def test_an_error_counts_items_from_the_first_part():
    with pytest.raises(UndecodableImageError, match=r"^items\[2\].image: "):
        await rows_of([item(0, image_of(0)), item(1, image_of(1))], [item(2, BAD_IMAGE)])


async def test_more_items_than_a_map_may_have_are_not_embedded():
    embedder = FakeEmbedder()
    with pytest.raises(LimitExceededError, match=r"^items: expected 1..1, got more$"):
        await rows_of([item(n, image_of(n)) for n in range(2)], embedder=embedder, most=1)
    assert embedder.seen == []


@dataclass
class FullAtFirst(FakeEmbedder):
    """Refuses the first requests, with a hint that leaves no time to wait."""

    refusals: int = 2

    async def embed(self, tenant, images, deadline):
        self.refusals -= 1
        if self.refusals >= 0:
            raise OverloadedError("the queue is full", 0.0)
        return await super().embed(tenant, images, deadline)


async def test_a_full_queue_makes_the_items_wait():
    rows = await rows_of([item(0, image_of(0))], embedder=FullAtFirst())
    assert len(rows.ids) == 1
