"""Works off backbone upgrades in the background, a few images of each in its turn.

Resumable: what is done is in the store, and what is left is asked for. Replicas that work on one
upgrade begin at different exemplars, and each skips what another has done.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core.upgrade_gate import is_worse, measure
from exemplar_server.core.upgrade_ports import Reembedded
from exemplar_server.core.upgrades import REFUSED, ROLLING_BACK, STOPPED, SWITCHED
from exemplar_server.errors import (
    ExemplarError,
    InternalError,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    RevisionMismatchError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exemplar_server.core.embedder import Embedder
    from exemplar_server.core.snapshot_cache import SnapshotCache
    from exemplar_server.core.upgrade_ports import Pending, UpgradeJob, UpgradeStore
    from exemplar_server.core.upgrades import Gate

log = logging.getLogger(__name__)

# Whose images these are, for the embedders; no caller can have this name.
TENANT = ""
IMAGES_A_TURN = 8
# Images are embedded one by one, each when no caller's image is in the house; on a server that is
# never idle so often at least, so that upgrades end.
SLOWEST_SECONDS = 1.0
LOOK_SECONDS = 0.005
# How often the store is asked for upgrades that other replicas began.
POLL_SECONDS = 5.0
# Measuring more exemplars takes longer and tells hardly more.
MOST_MEASURED = 2000
# So often figures must be of the very revision that is switched; then a set that never rests
# is switched with figures of a moment ago.
EXACT_TRIES = 3


class UpgradeWorker:
    """One event loop only. `run` does the work; `wake` tells that there may be some."""

    def __init__(
        self,
        store: UpgradeStore,
        cache: SnapshotCache,
        embedders: Sequence[Embedder],
        is_busy: Callable[[], bool],
        begin_at: Callable[[], float] = random.random,
    ) -> None:
        """`embedders` run at a low priority; `is_busy`: callers' images are in the house.

        `begin_at` says at which share of the exemplars work begins: elsewhere on each replica.
        """
        self._store = store
        self._cache = cache
        self._embedders = {e.backbone.manifest.fingerprint: e for e in embedders}
        self._is_busy = is_busy
        self._begin_at = begin_at
        self._awake = asyncio.Event()
        self._after: dict[str, str] = {}  # by incarnation: the last exemplar that was looked at
        self._tries: defaultdict[str, int] = defaultdict(int)
        self.job_count = 0

    def wake(self) -> None:
        self._awake.set()

    async def run(self) -> None:
        """For ever: ends by cancellation."""
        while True:
            self._awake.clear()
            if not await self.work():
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._awake.wait()

    async def work(self) -> bool:
        """A turn of each upgrade that is under way; whether there was anything to do."""
        try:
            jobs = await self._store.upgrade_jobs()
        except ExemplarError as error:
            log.warning("upgrades_not_read", exc_info=error)
            return False
        self.job_count = len(jobs)
        self._forget({job.incarnation for job in jobs})
        mine = [job for job in jobs if job.goal.fingerprint in self._embedders]
        return any([await self._turn(job) for job in mine])

    async def _turn(self, job: UpgradeJob) -> bool:
        """Whether it came on."""
        try:
            await self._advance(job)
        except NotFoundError:
            return False  # it is over
        except RevisionMismatchError:
            self._tries[job.incarnation] += 1  # it was changed meanwhile: once more
        except ExemplarError as error:  # of the store or the model: later again
            log.warning("upgrade_waits", exc_info=error)
            return False
        except Exception as error:  # a fault of ours: the others go on, and it is tried again
            log.error("upgrade_failed", exc_info=error)
            return False
        return True

    async def _advance(self, job: UpgradeJob) -> None:
        after = self._after.get(job.incarnation)
        if after is None:
            after = await self._store.start_of(job, self._begin_at())
        pending = await self._store.pending(job, after, IMAGES_A_TURN)
        if pending:
            await self._embed(job, pending)
            self._after[job.incarnation] = pending[-1].exemplar_id
        elif after:
            self._after[job.incarnation] = ""  # to the end: from the beginning
        else:
            await self._conclude(job)

    async def _embed(self, job: UpgradeJob, pending: Sequence[Pending]) -> None:
        embedded = []
        for one in pending:
            result = await self._embedded(job, one)
            if isinstance(result, InvalidInputError | InternalError):
                await self._stop(job, f"exemplar {one.exemplar_id!r} cannot be embedded: {result}")
                return
            if isinstance(result, ExemplarError):
                raise result
            embedded.append(Reembedded(one, np.asarray(result, np.float32)))
        await self._store.keep_embeddings(job, embedded)

    async def _embedded(self, job: UpgradeJob, one: Pending) -> np.ndarray | ExemplarError:
        embedder = self._embedders[job.goal.fingerprint]
        while True:
            await self._idle()
            try:
                return (await embedder.embed(TENANT, [one.image], float("inf"))).items[0]
            except OverloadedError as error:
                await asyncio.sleep(error.retry_after_seconds)

    async def _idle(self) -> None:
        clock = asyncio.get_running_loop().time
        latest = clock() + SLOWEST_SECONDS
        while self._is_busy() and clock() < latest:  # noqa: ASYNC110 - a count, no event
            await asyncio.sleep(LOOK_SECONDS)

    async def _conclude(self, job: UpgradeJob) -> None:
        """All images are embedded: measures, then switches or refuses."""
        if needed := (await self._store.progress(job)).needs_images:
            await self._stop(job, f"{needed} exemplars have no kept image: remove or add them anew")
        elif job.state == ROLLING_BACK:
            await self._switch(job, None, None)
        else:
            await self._judge(job)

    async def _judge(self, job: UpgradeJob) -> None:
        sample = await self._store.sample(job, MOST_MEASURED)
        gate = await asyncio.to_thread(measure, sample)
        if is_worse(gate) and not job.is_forced:
            await self._store.settle_upgrade(job, REFUSED, gate, _refusal(gate))
        else:
            is_patient = self._tries[job.incarnation] < EXACT_TRIES
            await self._switch(job, gate, sample.revision if is_patient else None)

    async def _switch(self, job: UpgradeJob, gate: Gate | None, revision: int | None) -> None:
        change = await self._store.switch(job, gate, revision)
        await self._cache.catch_up(job.tenant, job.name, change.revision)

    async def _stop(self, job: UpgradeJob, message: str) -> None:
        """What cannot be rolled back stays switched."""
        state = SWITCHED if job.state == ROLLING_BACK else STOPPED
        await self._store.settle_upgrade(job, state, None, message)

    def _forget(self, alive: set[str]) -> None:
        for known in (self._after, self._tries):
            for incarnation in known.keys() - alive:
                del known[incarnation]


def _refusal(gate: Gate) -> str:
    return (
        f"the new backbone answers {gate.new_accuracy:.1%} of {gate.exemplar_count} exemplars "
        f"right, the old one {gate.old_accuracy:.1%}: start again with even_if_worse to switch"
    )
