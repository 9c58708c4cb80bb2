"""The loop: batch, loss, step, log, checkpoint. It knows no method and no file."""

from __future__ import annotations

import math
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from tqdm import tqdm

from exemplar_training.errors import FitError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from exemplar_training.config import RunConfig
    from exemplar_training.fit.batches import Batches
    from exemplar_training.fit.method import Batch, Method
    from exemplar_training.fit.state import Training
    from exemplar_training.fit.stop import Stop

    Told = Mapping[str, Tensor | float]

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def fit(
    training: Training,
    batches: Batches,
    log: Callable[[int, Mapping[str, float]], None],
    save: Callable[[], None],
    stop: Stop,
) -> None:
    """Trains from `training.step` to the last step, or to the one at which `stop` is asked.

    `log` gets the numbers of a step, `save` is called when a checkpoint is due; in every process.

    Raises:
        FitError: out of memory, or a loss that is not finite; the last checkpoint stays good.
    """
    config, world, steps = training.config, training.world, training.config.schedule.steps
    loss_of = world.wrapped(_Loss(training.method))
    training.method.train()
    speed = _Speed(training)
    stream = batches.stream(training.step, steps, config.trained_on.workers)
    with closing(stream), _progress(training) as progress, _memory_advice(config):
        for batch in stream:
            with _precision(training):
                loss, told = loss_of(_on(world.device, batch))
            training.update(loss)
            progress.update()
            is_stopped = world.any(stop.is_asked)
            is_saved = is_stopped or training.is_due(config.schedule.checkpoint_every_steps)
            if is_saved or training.is_due(config.schedule.log_every_steps):
                numbers = _numbers(training, loss, told)
                log(training.step, {**numbers, **speed.since_last(batches)})
                progress.set_postfix(loss=f"{numbers['loss']:.4f}", refresh=False)
            if is_saved:
                save()
            if is_stopped:
                return


class _Loss(nn.Module):
    """The method's loss as the forward of its module: what DDP can wrap."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.module = method.module
        self._method = method

    def forward(self, batch: Batch) -> tuple[Tensor, Told]:
        return self._method.loss(batch)


class _Speed:
    """Images a second, epochs, and seconds since the last line, for the log."""

    def __init__(self, training: Training) -> None:
        self._training = training
        self._step, self._time = training.step, time.monotonic()
        self._processor = time.process_time()

    def since_last(self, batches: Batches) -> dict[str, float]:
        step, now, processor = self._training.step, time.monotonic(), time.process_time()
        images = (step - self._step) * batches.batch
        told = {
            "epoch": batches.epoch(step),
            "images_per_second": round(images / max(now - self._time, 1e-9), 1),
            "wall_seconds": round(now - self._time, 3),
            "processor_seconds": round(processor - self._processor, 3),
        }
        self._step, self._time, self._processor = step, now, processor
        return told


def _on(device: torch.device, batch: Batch) -> Batch:
    if device.type == "cpu":
        return batch
    names = ("image_BHWC", "class_ids_B", "uniform_BK", "rows_B")
    moved = {n: getattr(batch, n).pin_memory().to(device, non_blocking=True) for n in names}
    target = None if batch.target is None else _on(device, batch.target)
    return replace(batch, **moved, target=target)


def _precision(training: Training) -> torch.autocast:
    precision = training.config.compute.precision
    kind = training.world.device.type
    return torch.autocast(kind, _DTYPES[precision], enabled=precision != "fp32")


def _numbers(training: Training, loss: Tensor, told: Told) -> dict[str, float]:
    """What the log says of a step: means over the processes.

    Raises:
        FitError: the loss is not finite.
    """
    here = {"loss": float(loss.detach()), **{name: float(each) for name, each in told.items()}}
    numbers = training.world.mean(here)
    if not math.isfinite(numbers["loss"]):
        lower = training.config.optimizer.rate / 10
        raise FitError(
            f"loss: expected a finite number, got {numbers['loss']} by step {training.step}: "
            f"try --set optimizer.rate={lower:g} or --set optimizer.clip_norm=1"
        )
    return {**numbers, "rate": training.optimizer.param_groups[-1]["lr"]}


def _progress(training: Training) -> tqdm[None]:
    """A bar with the time that is left, on a terminal only."""
    return tqdm(
        total=training.config.schedule.steps,
        initial=training.step,
        unit="step",
        disable=None if training.world.is_main else True,
    )


@contextmanager
def _memory_advice(config: RunConfig) -> Iterator[None]:
    """Out of memory becomes an error that names the setting."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # OutOfMemoryError is a RuntimeError
        is_memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not is_memory and "can't allocate memory" not in str(error):
            raise
        raise FitError(_advice(config)) from error


def _advice(config: RunConfig) -> str:
    batch, size = config.trained_on.batch, config.model.input_size
    table = "target" if config.is_source_free else "data"
    advice = f"try --set {table}.batch={max(1, batch // 2)}"
    if config.compute.precision == "fp32" and config.compute.device != "cpu":
        advice += " or --set compute.precision=bf16"
    told = f" of {size} x {size} pixels" if size else ""
    return (
        f"{table}.batch: expected a batch that fits into memory, got {batch} images{told}: {advice}"
    )
