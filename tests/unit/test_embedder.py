"""The embedder: every image gets its embedding or its error, and room is held meanwhile."""

import asyncio

import numpy as np
import pytest

from exemplar_server.core.admission import Admission
from exemplar_server.core.embedder import Backbone, Embedder, Timings
from exemplar_server.core.scheduler import Embedded
from exemplar_server.errors import (
    DeadlineExceededError,
    NotServingError,
    OverloadedError,
    UndecodableImageError,
)
from fakes import BAD_IMAGE, FakeManifest

BACKBONE = Backbone(FakeManifest(), "none")
FAR = float("inf")
BAD = UndecodableImageError("not a readable image")


class FakeBatcher:
    """Embeds an image as its first byte, and tells times from it. A busy one does not answer."""

    def __init__(self, *, is_busy=False):
        self.is_busy = is_busy
        self.asked = []
        self.answers = []

    def submit(self, tenant, image):
        self.asked.append((tenant, image))
        self.answers.append(asyncio.get_running_loop().create_future())
        if not self.is_busy:
            result = BAD if image == BAD_IMAGE else np.array([image[0]], np.float32)
            times = (0, 0, 0) if image == BAD_IMAGE else (image[0], 2 * image[0], 3 * image[0])
            self.answers[-1].set_result(Embedded(result, *times))
        return self.answers[-1]

    def answer(self):
        for answer in self.answers:
            answer.set_result(Embedded(np.zeros(1, np.float32), 0, 0, 0))


def embedder(batcher, admission=None):
    return Embedder(BACKBONE, batcher, admission or Admission(100, 10_000))


async def test_embeddings_come_in_the_order_of_the_images():
    embedded = await embedder(FakeBatcher()).embed("tenant", [b"\x03", b"\x01", b"\x02"], FAR)
    assert [item.tolist() for item in embedded.items] == [[3.0], [1.0], [2.0]]


async def test_an_image_that_fails_costs_only_itself():
    embedded = await embedder(FakeBatcher()).embed("tenant", [b"\x01", BAD_IMAGE, b"\x02"], FAR)
    first, failed, last = embedded.items
    assert (first.tolist(), failed, last.tolist()) == ([1.0], BAD, [2.0])


async def test_no_images_need_no_model():
    batcher = FakeBatcher()
    embedded = await embedder(batcher).embed("tenant", [], FAR)
    assert (embedded.items, embedded.timings, batcher.asked) == ([], Timings(), [])


async def test_the_batcher_learns_the_tenant():
    batcher = FakeBatcher()
    await embedder(batcher).embed("tenant", [b"\x07"], FAR)
    assert batcher.asked == [("tenant", b"\x07")]


async def test_timings_are_those_of_the_slowest_image_in_each_stage():
    embedded = await embedder(FakeBatcher()).embed("t", [b"\x01", b"\x05", BAD_IMAGE], FAR)
    assert embedded.timings == Timings(queue_ms=5, decode_ms=10, infer_ms=15)


async def test_a_passed_deadline_ends_the_call_and_its_images_in_the_queue():
    batcher, admission = FakeBatcher(is_busy=True), Admission(100, 10_000)
    passed = asyncio.get_running_loop().time() - 1
    with pytest.raises(DeadlineExceededError, match="deadline: passed"):
        await embedder(batcher, admission).embed("t", [b"1", b"2"], passed)
    assert all(answer.cancelled() for answer in batcher.answers)
    assert (admission.images, admission.bytes) == (0, 0)


async def test_a_stopped_model_fails_the_whole_call():
    batcher = FakeBatcher(is_busy=True)
    call = asyncio.ensure_future(embedder(batcher).embed("t", [b"1", b"2"], FAR))
    await asyncio.sleep(0)  # one turn of the loop: the call begins
    batcher.answers[0].set_exception(NotServingError("the model sessions were stopped"))
    with pytest.raises(NotServingError):
        await call


async def test_images_hold_their_room_until_they_are_embedded():
    batcher, admission = FakeBatcher(is_busy=True), Admission(100, 10_000)
    call = asyncio.ensure_future(embedder(batcher, admission).embed("t", [b"12"], FAR))
    await asyncio.sleep(0)  # one turn of the loop: the call begins
    held = (admission.images, admission.bytes)
    batcher.answer()
    await call
    assert (held, admission.images, admission.bytes) == ((1, 2), 0, 0)


async def test_a_cancelled_call_gives_its_room_back():
    batcher, admission = FakeBatcher(is_busy=True), Admission(100, 10_000)
    call = asyncio.ensure_future(embedder(batcher, admission).embed("t", [b"12"], FAR))
    await asyncio.sleep(0)  # one turn of the loop: the call begins
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert (admission.images, admission.bytes) == (0, 0)


async def test_a_full_house_refuses_the_whole_request():
    batcher, admission = FakeBatcher(), Admission(2, 10_000)
    with admission.admit("other", [b"x", b"y"]), pytest.raises(OverloadedError):
        await embedder(batcher, admission).embed("t", [b"\x01"], FAR)
    assert batcher.asked == []
