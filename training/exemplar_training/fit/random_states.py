"""Every random generator that training could draw from: seeded, read and put back."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def seed_all(seed: int, rank: int) -> None:
    """Starts each process's generators elsewhere: dropout must differ between the shards."""
    own = int(np.random.SeedSequence((seed, rank)).generate_state(1)[0])
    random.seed(own)
    np.random.seed(own)  # noqa: NPY002 - libraries draw from numpy's global generator
    torch.manual_seed(own)


def states() -> dict[str, Any]:
    """The states of Python's, numpy's and torch's generators, as a checkpoint can hold them."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 - as above
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def put_back(saved: dict[str, Any]) -> None:
    name, keys, *rest = saved["numpy"]
    random.setstate(saved["python"])
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002 - as above
    torch.set_rng_state(saved["torch"])
    if saved["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(saved["cuda"])
