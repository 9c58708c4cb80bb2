"""Tiny training runs for tests: a configuration in which all that moves is on, and its images."""

from dataclasses import replace

import torch

from exemplar_training import config_file
from exemplar_training.config import RunConfig
from exemplar_training.fit import checkpoint, metrics
from exemplar_training.fit.run import RunRequest, run
from training_images import squares

# Batches of 8 of 20 images, 7 steps: epochs end inside batches. All that moves is on.
TABLE = {
    "data": {"batch": 8, "workers": 1},
    "augment": {"flip": True, "crop": 0.6, "color": 0.2},
    "model": {"dim": 64, "layer_decay": 0.7},
    "supervised": {"classifier": "cosine", "label_smoothing": 0.1},
    "optimizer": {"name": "adamw", "rate": 0.003, "clip_norm": 1.0, "ema_decay": 0.9},
    "schedule": {
        "steps": 7,
        "warmup_steps": 2,
        "log_every_steps": 1,
        "checkpoint_every_steps": 2,
    },
    "compute": {"device": "cpu"},
}
IMAGES = squares(20)


def config(**changes):
    table = {name: dict(part) for name, part in TABLE.items()}
    for key, value in changes.items():
        name, _, field = key.partition("__")
        if field:
            table.setdefault(name, {})[field] = value
        else:
            table[name] = value
    return config_file.from_table(RunConfig, table)


def fit(out, images=IMAGES, *, is_resumed=False, target=None, **changes):
    request = RunRequest(config(**changes), out, is_resumed)
    return run(request, images, lambda _: None, target)


class Failing(list):
    """Files of which one read fails, as a disk does, or does something else."""

    def __init__(self, files, at_read, action):
        super().__init__(files)
        self._left, self._action = at_read, action

    def __getitem__(self, row):
        self._left -= 1
        if self._left == 0:
            self._action()
        return super().__getitem__(row)


def with_files(files):
    return replace(IMAGES, files=files)


def checkpoints(out):
    """When each run below `out` has written its checkpoint last, by the file."""
    return {path: path.stat().st_mtime_ns for path in out.rglob(checkpoint.FILE)}


def content(out):
    return checkpoint.load(out / checkpoint.FILE)


def told(out):
    """The log without its speed, which no seed fixes."""
    return [
        {name: value for name, value in line.items() if name not in metrics.SPEED}
        for line in metrics.read(out)
    ]


def assert_equal(one, other, path="checkpoint"):
    """Equal to the last bit, tensors too."""
    assert type(one) is type(other), path
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), path
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for key in one:
            assert_equal(one[key], other[key], f"{path}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), path
        for place, pair in enumerate(zip(one, other, strict=True)):
            assert_equal(*pair, f"{path}[{place}]")
    else:
        assert one == other, path
