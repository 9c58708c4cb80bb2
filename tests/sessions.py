"""Fake model sessions, and micro-batchers over them."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager

import numpy as np

from exemplar_server.core.scheduler import MicroBatcher
from exemplar_server.errors import UndecodableImageError
from fakes import BAD_IMAGE

POISON = 255


class FakeSession:
    """Embeds an image as its first value. Fails on POISON, waits while `gate` is closed."""

    def __init__(self):
        self.runs = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def run(self, images_BHWC):
        self.entered.set()
        assert self.gate.wait(10)
        numbers = images_BHWC[:, 0, 0, 0].tolist()
        self.runs.append(numbers)
        if POISON in numbers:
            raise RuntimeError("secret of the model")
        return np.array(numbers, np.float32)[:, None]


class MiscountingSession(FakeSession):
    """Answers with one embedding too few."""

    def run(self, images_BHWC):
        return super().run(images_BHWC)[1:]


def decode(image):
    if image == BAD_IMAGE:
        raise UndecodableImageError("not a readable image")
    if image == b"":
        raise RuntimeError("secret of the decoder")
    return np.full((1, 1, 1), image[0], np.uint8)


@asynccontextmanager
async def batching(*sessions, micro_batch=8, observe=lambda _: None, spread=map):
    batcher = MicroBatcher(sessions, decode, micro_batch, observe, spread)
    try:
        yield batcher
    finally:
        for session in sessions:
            session.gate.set()
        await batcher.stop()


async def busy(session):
    """Returns when the session works on something."""
    assert await asyncio.to_thread(session.entered.wait, 10)


def ask(batcher, number, tenant="a"):
    return batcher.submit(tenant, bytes([number]))


def queued(batcher, *asked):
    """Asks for the images (tenant, number), which all wait."""
    answers = [ask(batcher, number, tenant) for tenant, number in asked]
    assert batcher.queue_length == len(asked)
    return answers


@asynccontextmanager
async def behind_a_running_image(session, micro_batch=8):
    """A batcher whose only session is held by image 0; opening its gate lets the queue go on."""
    async with batching(session, micro_batch=micro_batch) as batcher:
        session.gate.clear()
        first = ask(batcher, 0)
        await busy(session)
        yield batcher
        session.gate.set()
        await asyncio.gather(first, return_exceptions=True)
