"""The micro-batcher: merges waiting images of all tenants into runs of the model sessions.

Work-conserving: no timer. A free session takes what waits, up to its micro-batch, round robin over
tenants, so one tenant's thousand images delay another's single one by one micro-batch.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.errors import DeadlineExceededError, InternalError, NotServingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from exemplar_server.core.ports import Session

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Embedded:
    """One image's embedding, and what it waited and took."""

    embedding_D: NDArray[np.float32]
    queue_ms: float
    infer_ms: float


@dataclass(eq=False)
class _Job:
    image_HWC: NDArray[np.uint8]
    deadline: float
    answer: asyncio.Future[Embedded]
    arrived: float = field(default=0.0)


class FairQueue:
    """Jobs by tenant; `take` goes round the tenants. One event loop only."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, deque[_Job]] = OrderedDict()
        self._is_waiting = asyncio.Event()

    def put(self, tenant: str, job: _Job) -> None:
        self._jobs.setdefault(tenant, deque()).append(job)
        self._is_waiting.set()

    async def take(self, count: int, now: Callable[[], float]) -> list[_Job]:
        """1 to `count` jobs whose callers still wait for them."""
        while True:
            await self._is_waiting.wait()
            taken: list[_Job] = []
            while self._jobs and len(taken) < count:
                job = self._next()
                if _is_wanted(job, now()):
                    taken.append(job)
            if not self._jobs:
                self._is_waiting.clear()
            if taken:
                return taken

    def drain(self) -> list[_Job]:
        """Takes every job, wanted or not."""
        return [self._next() for _ in range(len(self))]

    def _next(self) -> _Job:
        tenant, jobs = self._jobs.popitem(last=False)
        job = jobs.popleft()
        if jobs:
            self._jobs[tenant] = jobs  # to the back of the round
        return job

    def __len__(self) -> int:
        return sum(map(len, self._jobs.values()))


def _is_wanted(job: _Job, now: float) -> bool:
    if job.answer.done():  # the caller was cancelled
        return False
    if now > job.deadline:
        job.answer.set_exception(
            DeadlineExceededError("deadline: passed while waiting in the queue")
        )
        return False
    return True


def _refuse(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        if not job.answer.done():
            job.answer.set_exception(NotServingError("the model sessions were stopped"))


class MicroBatcher:
    """Runs each session on a thread of its own. One event loop only; `start` it there.

    A failing run is halved until the images that cause it stand alone: the others succeed.
    """

    def __init__(
        self,
        sessions: Sequence[Session],
        micro_batch: int,
        observe: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._sessions = sessions
        self._micro_batch = micro_batch
        self._observe = observe
        self._queue = FairQueue()
        self._threads = [
            ThreadPoolExecutor(1, thread_name_prefix=f"session-{n}") for n in range(len(sessions))
        ]
        self._workers: list[asyncio.Task[None]] = []

    @property
    def queue_length(self) -> int:
        return len(self._queue)

    @property
    def is_alive(self) -> bool:
        return bool(self._workers) and not any(worker.done() for worker in self._workers)

    def start(self) -> None:
        self._workers = [
            asyncio.create_task(self._work(session, thread))
            for session, thread in zip(self._sessions, self._threads, strict=True)
        ]

    async def stop(self) -> None:
        """Ends the workers; callers that still wait get NotServingError."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        _refuse(self._queue.drain())
        for thread in self._threads:
            thread.shutdown()

    async def embed(self, tenant: str, image_HWC: NDArray[np.uint8], deadline: float) -> Embedded:
        """The embedding of one image. `deadline` is in seconds of the event loop's clock.

        Raises:
            DeadlineExceededError: it passed before a session was free.
            InternalError: the model fails on this image.
            NotServingError: the batcher was stopped, or lost a worker.
        """
        if not self.is_alive:
            raise NotServingError("the model sessions are not running")
        loop = asyncio.get_running_loop()
        job = _Job(image_HWC, deadline, loop.create_future(), loop.time())
        self._queue.put(tenant, job)
        return await job.answer

    async def _work(self, session: Session, thread: ThreadPoolExecutor) -> None:
        now = asyncio.get_running_loop().time
        while True:
            jobs = await self._queue.take(self._micro_batch, now)
            self._observe(len(jobs))
            try:
                await self._run(session, thread, jobs)
            finally:
                _refuse(jobs)  # none is left, unless the worker ends here

    async def _run(self, session: Session, thread: ThreadPoolExecutor, jobs: list[_Job]) -> None:
        loop = asyncio.get_running_loop()
        images_BHWC = np.stack([job.image_HWC for job in jobs])
        started = loop.time()
        try:
            embeddings_BD = await loop.run_in_executor(thread, session.run, images_BHWC)
        except Exception as error:  # noqa: BLE001 - whatever the model raises concerns these images only
            await self._isolate(session, thread, jobs, error)
            return
        infer_ms = (loop.time() - started) * 1e3
        for job, embedding_D in zip(jobs, embeddings_BD, strict=True):
            if not job.answer.done():
                queue_ms = (started - job.arrived) * 1e3
                job.answer.set_result(Embedded(embedding_D, queue_ms, infer_ms))

    async def _isolate(
        self, session: Session, thread: ThreadPoolExecutor, jobs: list[_Job], error: Exception
    ) -> None:
        if len(jobs) > 1:
            middle = len(jobs) // 2
            await self._run(session, thread, jobs[:middle])
            await self._run(session, thread, jobs[middle:])
            return
        log.error("model_run_failed", exc_info=error)
        if not jobs[0].answer.done():
            jobs[0].answer.set_exception(InternalError("the model failed on this image"))
