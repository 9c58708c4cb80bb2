"""Runs a server's program without what makes it a replica: `python broken_server.py PROGRAM ...`.

It follows nothing, and minds no min_revision: what checks replicas must find it.
"""

from __future__ import annotations

import asyncio
import runpy
import sys

from exemplar_server.core.follower import Follower
from exemplar_server.core.snapshot_cache import SnapshotCache


async def _never(_: Follower) -> None:
    await asyncio.Event().wait()


def main() -> None:
    get = SnapshotCache.get
    Follower.follow = _never
    SnapshotCache.get = lambda cache, tenant, name, _: get(cache, tenant, name, 0)
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
