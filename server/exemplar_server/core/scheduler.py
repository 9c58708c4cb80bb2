"""The micro-batcher: merges waiting images of all tenants into runs of the model sessions.

Work-conserving: no timer. A free session takes what waits, up to its micro-batch, round robin over
tenants, so one tenant's thousand images delay another's single one by one micro-batch. The thread
that took the images decodes and runs them: on a CPU, where it is a core's only one, another hand
over costs more than it brings (tests/bench/results/2026-11-24-embed.md).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from exemplar_server.errors import ExemplarError, InternalError, NotServingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from exemplar_server.core.ports import Session

    Decoded = NDArray[np.uint8] | ExemplarError
    Result = NDArray[np.float32] | ExemplarError

log = logging.getLogger(__name__)


class Spread(Protocol):
    """The builtin map, or an executor's, which decodes a micro-batch on several threads."""

    def __call__(
        self, function: Callable[[bytes], Decoded], images: Iterable[bytes], /
    ) -> Iterable[Decoded]: ...


@dataclass(frozen=True)
class Embedded:
    """One image's embedding (D,) or why there is none; what it waited, and what its run took."""

    result: Result
    queue_ms: float
    decode_ms: float
    infer_ms: float


@dataclass(frozen=True, eq=False)
class _Job:
    image: bytes
    answer: asyncio.Future[Embedded]
    arrived: float


class FairQueue:
    """Jobs by tenant; `take` goes round the tenants. Any thread may call it."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, deque[_Job]] = OrderedDict()
        self._changed = threading.Condition()
        self._is_closed = False

    def put(self, tenant: str, job: _Job) -> None:
        """Raises NotServingError once the queue is closed."""
        with self._changed:
            if self._is_closed:
                raise NotServingError("the model sessions are not running")
            self._jobs.setdefault(tenant, deque()).append(job)
            self._changed.notify()

    def take(self, count: int) -> list[_Job]:
        """1 to `count` jobs whose callers still wait for them; none once the queue is closed."""
        taken: list[_Job] = []
        with self._changed:
            while not taken and not self._is_closed:
                self._changed.wait_for(lambda: self._jobs or self._is_closed)
                while self._jobs and len(taken) < count:
                    job = self._next()
                    if not job.answer.done():
                        taken.append(job)
        return taken

    def remove(self, tenant: str, job: _Job) -> None:
        """Takes a job out that nobody waits for any more, if it is still there."""
        with self._changed:
            jobs = self._jobs.get(tenant, deque())
            if job in jobs:
                jobs.remove(job)
            if not jobs:
                self._jobs.pop(tenant, None)

    def close(self) -> list[_Job]:
        """Ends every `take`; the jobs that were not taken."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            return [self._next() for _ in range(self._length())]

    def _next(self) -> _Job:
        tenant, jobs = self._jobs.popitem(last=False)
        job = jobs.popleft()
        if jobs:
            self._jobs[tenant] = jobs  # to the back of the round
        return job

    def _length(self) -> int:
        return sum(map(len, self._jobs.values()))

    def __len__(self) -> int:
        with self._changed:
            return self._length()


class MicroBatcher:
    """Runs each session on a thread of its own, from construction to `stop`.

    One event loop only, except what the threads do. An image that cannot be decoded, or fails the
    model, costs only itself.
    """

    def __init__(
        self,
        sessions: Sequence[Session],
        decode: Callable[[bytes], NDArray[np.uint8]],
        micro_batch: int,
        observe: Callable[[int], None] = lambda _: None,
        spread: Spread = map,
        *,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        """`begin` is called by each thread before its first run."""
        self._decode = decode
        self._micro_batch = micro_batch
        self._observe = observe
        self._spread = spread
        self._begin = begin
        self._queue = FairQueue()
        self._loop = asyncio.get_running_loop()
        self._threads = [
            threading.Thread(target=self._work, args=(session,), name=f"session-{n}", daemon=True)
            for n, session in enumerate(sessions)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def queue_length(self) -> int:
        return len(self._queue)

    @property
    def is_alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    async def stop(self) -> None:
        """Ends the threads after the runs in hand; who waits for more gets NotServingError."""
        _refuse(self._queue.close())
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def submit(self, tenant: str, image: bytes) -> asyncio.Future[Embedded]:
        """The image's embedding, later; cancel it when nobody waits for it any more.

        Raises:
            NotServingError: the batcher was stopped, or lost a thread. The future has it too.
        """
        job = _Job(image, self._loop.create_future(), self._loop.time())
        self._queue.put(tenant, job)
        job.answer.add_done_callback(
            lambda answer: self._queue.remove(tenant, job) if answer.cancelled() else None
        )
        return job.answer

    def _work(self, session: Session) -> None:
        jobs: list[_Job] = []
        try:
            self._begin()
            while jobs := self._queue.take(self._micro_batch):
                embedded = self._run(session, jobs)
                self._loop.call_soon_threadsafe(_answer, jobs, embedded)
        finally:  # no job is left, unless this thread dies: then the server must be restarted
            self._loop.call_soon_threadsafe(_refuse, [*jobs, *self._queue.close()])

    def _run(self, session: Session, jobs: Sequence[_Job]) -> list[Embedded]:
        """One answer a job, in order."""
        started = self._loop.time()
        decoded = list(self._spread(self._decoded, [job.image for job in jobs]))
        ready = self._loop.time()
        images = [image_HWC for image_HWC in decoded if isinstance(image_HWC, np.ndarray)]
        if images:
            self._observe(len(images))
        results = iter(_embeddings(session, images))
        decode_ms, infer_ms = (ready - started) * 1e3, (self._loop.time() - ready) * 1e3
        return [
            Embedded(
                next(results) if isinstance(image, np.ndarray) else image,
                (started - job.arrived) * 1e3,
                decode_ms,
                infer_ms,
            )
            for job, image in zip(jobs, decoded, strict=True)
        ]

    def _decoded(self, image: bytes) -> Decoded:
        try:
            return self._decode(image)
        except ExemplarError as error:
            return error
        except Exception as error:  # whatever decoding raises concerns this image only
            log.error("decode_failed", exc_info=error)
            return InternalError("decoding failed on this image")


def _embeddings(session: Session, images: Sequence[NDArray[np.uint8]]) -> list[Result]:
    """One result an image. A failing run is halved until the images that cause it stand alone.

    Raises what the session raises when even a black image fails it: then it is the session.
    """
    if not images:
        return []
    try:
        embeddings_BD = session.run(np.stack(images))
        return [embedding_D for embedding_D, _ in zip(embeddings_BD, images, strict=True)]
    except Exception as error:  # whatever the model raises concerns these images only
        if len(images) == 1:
            log.error("model_run_failed", exc_info=error)
            session.run(np.zeros_like(images))
            return [InternalError("the model failed on this image")]
        middle = len(images) // 2
        return _embeddings(session, images[:middle]) + _embeddings(session, images[middle:])


def _answer(jobs: Sequence[_Job], embedded: Sequence[Embedded]) -> None:
    for job, one in zip(jobs, embedded, strict=True):
        if not job.answer.done():
            job.answer.set_result(one)


def _refuse(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        if not job.answer.done():
            job.answer.set_exception(NotServingError("the model sessions were stopped"))
