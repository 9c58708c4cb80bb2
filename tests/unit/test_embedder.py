"""The embedder: every image gets its embedding or its error, and room is held meanwhile."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from exemplar_server.core.admission import Admission
from exemplar_server.core.embedder import Backbone, Embedder, Timings
from exemplar_server.core.scheduler import Embedded
from exemplar_server.errors import (
    DeadlineExceededError,
    InternalError,
    OverloadedError,
    UndecodableImageError,
)
from fakes import BAD_IMAGE, FakeManifest

BACKBONE = Backbone(FakeManifest(), "none")
MODEL_FAILS, LATE = 254, 253


def decode(image):
    if image == BAD_IMAGE:
        raise UndecodableImageError("not a readable image")
    return np.frombuffer(image, np.uint8)


class FakeBatcher:
    """Embeds an image as its first byte; waits for `gate`. The times it tells are that byte."""

    def __init__(self):
        self.asked = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def embed(self, tenant, image_HWC, deadline):
        first = int(image_HWC[0])
        self.asked.append((tenant, first, deadline))
        await self.gate.wait()
        if first == MODEL_FAILS:
            raise InternalError("the model failed on this image")
        if first == LATE:
            raise DeadlineExceededError("deadline: passed")
        return Embedded(np.array([first], np.float32), queue_ms=first, infer_ms=2 * first)


@pytest.fixture
def threads():
    with ThreadPoolExecutor(2, thread_name_prefix="decode") as pool:
        yield pool


def embedder(threads, batcher, admission=None, decode=decode):
    return Embedder(BACKBONE, decode, threads, batcher, admission or Admission(100, 10_000))


async def results(threads, *images):
    embedded = await embedder(threads, FakeBatcher()).embed("tenant", images, 1.0)
    return [i if isinstance(i, Exception) else i.tolist() for i in embedded.items]


async def test_embeddings_come_in_the_order_of_the_images(threads):
    assert await results(threads, b"\x03", b"\x01", b"\x02") == [[3.0], [1.0], [2.0]]


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (BAD_IMAGE, UndecodableImageError),
        (bytes([MODEL_FAILS]), InternalError),
        (bytes([LATE]), DeadlineExceededError),
    ],
)
async def test_an_image_that_fails_costs_only_itself(threads, image, error):
    first, failed, last = await results(threads, b"\x01", image, b"\x02")
    assert (first, type(failed), last) == ([1.0], error, [2.0])


async def test_no_images_need_no_model(threads):
    batcher = FakeBatcher()
    embedded = await embedder(threads, batcher).embed("tenant", [], 1.0)
    assert (embedded.items, embedded.timings, batcher.asked) == ([], Timings(), [])


async def test_the_batcher_learns_tenant_and_deadline(threads):
    batcher = FakeBatcher()
    await embedder(threads, batcher).embed("tenant", [b"\x07"], 12.5)
    assert batcher.asked == [("tenant", 7, 12.5)]


async def test_timings_are_those_of_the_slowest_image_in_each_stage(threads):
    embedded = await embedder(threads, FakeBatcher()).embed("t", [b"\x01", b"\x05", BAD_IMAGE], 1.0)
    assert (embedded.timings.queue_ms, embedded.timings.infer_ms) == (5.0, 10.0)
    assert embedded.timings.decode_ms > 0


async def test_images_are_decoded_on_the_decode_threads(threads):
    names = []

    def decode_and_tell(image):
        names.append(threading.current_thread().name)
        return decode(image)

    await embedder(threads, FakeBatcher(), decode=decode_and_tell).embed("t", [b"\x01"], 1.0)
    assert [name.rpartition("_")[0] for name in names] == ["decode"]


async def test_images_hold_their_room_until_they_are_embedded(threads):
    batcher, admission = FakeBatcher(), Admission(100, 10_000)
    batcher.gate.clear()
    call = asyncio.ensure_future(embedder(threads, batcher, admission).embed("t", [b"12"], 1.0))
    await asyncio.sleep(0)  # one turn of the loop: the call begins
    held = (admission.images, admission.bytes)
    batcher.gate.set()
    await call
    assert (held, admission.images, admission.bytes) == ((1, 2), 0, 0)


async def test_a_cancelled_call_gives_its_room_back(threads):
    batcher, admission = FakeBatcher(), Admission(100, 10_000)
    batcher.gate.clear()
    call = asyncio.ensure_future(embedder(threads, batcher, admission).embed("t", [b"12"], 1.0))
    await asyncio.sleep(0)  # one turn of the loop: the call begins
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert (admission.images, admission.bytes) == (0, 0)


async def test_a_full_house_refuses_the_whole_request(threads):
    batcher, admission = FakeBatcher(), Admission(2, 10_000)
    with admission.admit([b"x", b"y"]), pytest.raises(OverloadedError):
        await embedder(threads, batcher, admission).embed("t", [b"\x01"], 1.0)
    assert batcher.asked == []
