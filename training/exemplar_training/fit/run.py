"""A run in its folder: started or resumed, trained, and all that it leaves written.

RUN/config.toml      all settings, defaults too
RUN/checkpoint.pt    everything that training goes on from
RUN/metrics.jsonl    a line of numbers every few steps
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from exemplar_training import config_file
from exemplar_training.embedder import Embedder
from exemplar_training.errors import CheckpointError
from exemplar_training.files import replace_file
from exemplar_training.fit import checkpoint
from exemplar_training.fit.batches import Batches
from exemplar_training.fit.build import backbone_of, few_of_each, method_of
from exemplar_training.fit.distributed import world
from exemplar_training.fit.loop import fit
from exemplar_training.fit.metrics import metrics
from exemplar_training.fit.state import IMAGES, ORIGIN, training_of
from exemplar_training.fit.stop import stop_on_signals
from exemplar_training.fit.trained import load_embedder, trained_backbone

if TYPE_CHECKING:
    from collections.abc import Callable

    from exemplar_training.backbones import Backbone
    from exemplar_training.config import RunConfig
    from exemplar_training.data.image_set import ImageSet
    from exemplar_training.fit.distributed import World
    from exemplar_training.fit.state import Training
    from exemplar_training.fit.stop import Stop

CONFIG_FILE = "config.toml"


@dataclass(frozen=True)
class RunRequest:
    """What to train and where to. With `is_resumed` it goes on from RUN's checkpoint, if any."""

    config: RunConfig
    out: Path
    is_resumed: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `signal_number` is that of the signal which stopped it, else 0."""

    step: int
    steps: int
    signal_number: int
    is_main: bool


def run(request: RunRequest, images: ImageSet, report: Callable[[str], None]) -> Outcome:
    """Trains on `images` until the last step or a signal; a checkpoint is there either way.

    Raises:
        TrainingError: see the settings, the checkpoint and the loop.
    """
    with world(request.config.compute.device) as here, stop_on_signals() as stop:
        chosen = few_of_each(images, request.config.data.n_shot, request.config.seed)
        training, batches = _prepared(request, chosen, here)
        if here.is_main:
            report(_told(training, chosen))
        _fit(training, batches, request.out, stop)
        steps = request.config.schedule.steps
        return Outcome(training.step, steps, stop.signal_number, here.is_main)


def _prepared(request: RunRequest, images: ImageSet, here: World) -> tuple[Training, Batches]:
    """The run at its first step or at its checkpoint, and its batches."""
    config, path = request.config, request.out / checkpoint.FILE
    if path.exists() and not request.is_resumed:
        raise CheckpointError(
            f"--out: expected a folder without a run, got {request.out}, which has a checkpoint: "
            "pass --resume to go on with it"
        )
    content = checkpoint.load(path) if path.exists() else None
    backbone = _start(config, is_loaded=content is None)
    method = method_of(config, backbone, len(images.class_names))
    facts = {ORIGIN: backbone.spec.origin, IMAGES: _sha256(images)}
    training = training_of(config, method, here, facts)
    if content is not None:
        training.put_back(content)
    if here.is_main:
        _write_config(request)
    data, size = config.data, backbone.spec.input_size
    return training, Batches(images, size, data.batch, config.seed, here.shard)


def _sha256(images: ImageSet) -> str:
    """A hash of the order of the classes: other images rarely have the same."""
    told = [*images.class_names, *images.class_ids_N.tolist()]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _start(config: RunConfig, *, is_loaded: bool) -> Backbone:
    """The backbone of the configuration, with the weights of the run it starts from, if any."""
    backbone = backbone_of(config.model, config.seed)
    if not config.model.init or not is_loaded:
        return backbone
    before = trained_backbone(Path(config.model.init))
    load_embedder(backbone, Embedder(before).state_dict())
    return replace(backbone, spec=replace(backbone.spec, origin=before.spec.origin))


def _write_config(request: RunRequest) -> None:
    try:
        request.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"--out: expected a writable folder, got {error}") from error
    text = config_file.as_toml(request.config)
    replace_file(request.out / CONFIG_FILE, text.encode())


def _fit(training: Training, batches: Batches, out: Path, stop: Stop) -> None:
    """The loop with its files, which the main process alone writes."""

    def save() -> None:
        content = training.content()
        if training.world.is_main:
            checkpoint.save(out / checkpoint.FILE, content)

    if not training.world.is_main:
        fit(training, batches, lambda *_: None, save, stop)
        return
    with metrics(out, training.step) as log:
        fit(training, batches, log.write, save, stop)


def _told(training: Training, images: ImageSet) -> str:
    parameters = list(training.method.module.parameters())
    learning = sum(each.numel() for each in parameters if each.requires_grad)
    total = sum(each.numel() for each in parameters)
    here = training.world
    return (
        f"step {training.step} of {training.config.schedule.steps}: {len(images)} images of "
        f"{len(images.class_names)} classes, {learning:,} of {total:,} parameters learn, "
        f"{here.size} x {here.device.type}"
    )
