"""A run in its folder: started or resumed, trained, and all that it leaves written.

RUN/config.toml      all settings, defaults too
RUN/checkpoint.pt    everything that training goes on from
RUN/metrics.jsonl    a line of numbers every few steps
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exemplar_training import config_file
from exemplar_training.adapter import Adapted
from exemplar_training.embedder import Embedder
from exemplar_training.errors import CheckpointError, ConfigError
from exemplar_training.files import make_output, replace_file
from exemplar_training.fit import checkpoint
from exemplar_training.fit.build import backbone_of, method_of, published_head
from exemplar_training.fit.distributed import world
from exemplar_training.fit.head import new_head, shape_of
from exemplar_training.fit.images import RunImages
from exemplar_training.fit.kept import below_adapter
from exemplar_training.fit.loop import fit
from exemplar_training.fit.metrics import metrics
from exemplar_training.fit.network import dim_of
from exemplar_training.fit.state import IMAGES, ORIGIN, check_same, training_of
from exemplar_training.fit.stop import stop_on_signals
from exemplar_training.fit.trained import (
    embedder_state,
    head_of,
    load_embedder,
    trained_backbone,
    trained_head,
)
from exemplar_training.layerwise.given import with_kept
from exemplar_training.layerwise.start import decoders_of
from exemplar_training.pooling import Pooled
from exemplar_training.self_supervised.kept_views import views_below_adapter
from exemplar_training.self_supervised.watching import collapse
from exemplar_training.stacks import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn

    from exemplar_training.backbones import Backbone
    from exemplar_training.config import RunConfig
    from exemplar_training.data.image_set import ImageSet
    from exemplar_training.fit.batches import Batches
    from exemplar_training.fit.distributed import World
    from exemplar_training.fit.state import Training
    from exemplar_training.fit.stop import Stop


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


def run(
    request: RunRequest,
    images: ImageSet,
    report: Callable[[str], None],
    target: ImageSet | None = None,
) -> Outcome:
    """Trains on `images` until the last step or a signal; a checkpoint is there either way.

    `target` is for methods of two domains. No method sees the target's labels: neither these nor,
    where it is source-free, those of `images`.

    Raises:
        TrainingError: see the settings, the checkpoint and the loop.
    """
    given, steps = RunImages(images, target), request.config.schedule.steps
    with world(request.config.compute.device) as here, stop_on_signals() as stop:
        content = _before(request, given)
        if content is not None and content["step"] == steps:  # an adapter would embed all images
            return Outcome(steps, steps, stop.signal_number, here.is_main)
        training, batches = _prepared(request, given, content, here)
        if here.is_main:
            report(_told(training, batches))
        _fit(training, batches, request.out, stop, report)
        return Outcome(training.step, steps, stop.signal_number, here.is_main)


def _before(request: RunRequest, images: RunImages) -> dict[str, Any] | None:
    """The content of the run's checkpoint, which is one of the same settings; None: there is none.

    Raises:
        CheckpointError: it is not whole, of other settings or images, or nobody asked to go on.
    """
    path = request.out / checkpoint.FILE
    if not path.exists():
        return None
    if not request.is_resumed:
        raise CheckpointError(
            f"--out: expected a folder without a run, got {request.out}, which has a checkpoint: "
            "pass --resume to go on with it"
        )
    content = checkpoint.load(path)
    check_same(content, request.config, images.sha256)
    return content


def _prepared(
    request: RunRequest, images: RunImages, content: dict[str, Any] | None, here: World
) -> tuple[Training, Batches]:
    """The run at its first step or where `content` was taken, and its batches."""
    config = request.config
    backbone = _start(config, content)
    head = _head(request, backbone, len(images.images.class_names), content)
    batches = images.batches(config, backbone.spec.input_size, here.shard)
    batches = _measured(batches, backbone, config)
    asked = images.asked(config, backbone.spec.input_size)
    method = method_of(config, backbone, head, batches, here, asked=asked)
    facts = {ORIGIN: backbone.spec.origin, IMAGES: images.sha256}
    training = training_of(config, method, here, facts)
    if content is not None:
        training.put_back(content)
    if here.is_main:
        _write_config(request)
    return training, batches


def _start(config: RunConfig, content: dict[str, Any] | None) -> Backbone:
    """The backbone with the weights of its checkpoint, or of the run it starts from, if any."""
    backbone = backbone_of(config.model, config.seed)
    if content is not None:
        load_embedder(backbone, embedder_state(content))
    if content is not None or not config.model.init:
        return backbone
    before = trained_backbone(Path(config.model.init))
    same = replace(backbone, trunk=_as_wrapped(backbone.trunk, before.trunk))
    load_embedder(same, Embedder(before).state_dict())
    return replace(backbone, spec=replace(backbone.spec, origin=before.spec.origin))


def _as_wrapped(trunk: nn.Module, before: nn.Module) -> nn.Module:
    """`trunk` without the adapter and the pooling that `before` has not."""
    while isinstance(trunk, Adapted | Pooled) and type(trunk) is not type(before):
        trunk = trunk.trunk
    return trunk.lower(before) if isinstance(trunk, Stack) and isinstance(before, Stack) else trunk


def _head(
    request: RunRequest, backbone: Backbone, class_count: int, content: dict[str, Any] | None
) -> nn.Module | None:
    """A new head; where the method is source-free, the one of the run that it starts from.

    Of layers that learn one by one: what leads back to the pixels.
    """
    config = request.config
    if config.is_layerwise:
        return decoders_of(config, backbone, is_started=content is not None)
    if not config.has_head:
        return None
    if not config.is_source_free:
        return new_head(config.supervised, dim_of(backbone), class_count, config.seed)
    if content is not None:
        return head_of(content, request.out)
    init = config.model.init
    head = trained_head(Path(init)) if init else published_head(config.model)
    (_, dim_before), dim = shape_of(head), dim_of(backbone)
    if dim_before != dim:
        expected = f"a run whose head takes embeddings of dim {dim}"
        raise ConfigError(f"model.init: expected {expected}, got one that takes {dim_before}")
    return head


def _measured(batches: Batches, backbone: Backbone, config: RunConfig) -> Batches:
    """A new adapter measures these images; they are embedded only once where that will do.

    Raises:
        ConfigError: batches of one image, which has no deviation and no negatives.
    """
    if config.is_layerwise:
        return with_kept(batches, backbone, config)
    if not isinstance(backbone.trunk, Adapted):
        return batches
    if batches.batch == batches.shard.count:
        raise ConfigError("data.batch: expected 2 images or more a process with an adapter, got 1")
    adapter = backbone.trunk.adapter
    if adapter.is_measured and not config.has_kept:
        return batches
    if config.views.kept:
        kept_ND = views_below_adapter(backbone, batches.images, config)
    else:
        kept_ND = below_adapter(backbone, batches.images)
    if not adapter.is_measured:
        adapter.measure(kept_ND)
    return replace(batches, kept_ND=kept_ND) if config.has_kept else batches


def _write_config(request: RunRequest) -> None:
    make_output(request.out)
    text = config_file.as_toml(request.config)
    replace_file(request.out / config_file.FILE, text.encode())


def _fit(
    training: Training, batches: Batches, out: Path, stop: Stop, report: Callable[[str], None]
) -> None:
    """The loop with its files, which the main process alone writes."""

    def save() -> None:
        content = training.content()
        if training.world.is_main:
            checkpoint.save(out / checkpoint.FILE, content)

    if training.step == training.config.schedule.steps:  # nothing learns: the start is the end
        save()
    if not training.world.is_main:
        fit(training, batches, lambda *_: None, save, stop)
        return
    with metrics(out, training.step) as log:
        fit(training, batches, _watched(log.write, report), save, stop)


def _watched(
    write: Callable[[int, Mapping[str, float]], None], report: Callable[[str], None]
) -> Callable[[int, Mapping[str, float]], None]:
    """`write`, and each kind of collapse in words when it is first seen."""
    said: set[str] = set()

    def log(step: int, numbers: Mapping[str, float]) -> None:
        write(step, numbers)
        words = collapse(numbers)
        kind = words.partition("(")[0]
        if words and kind not in said:
            said.add(kind)
            report(f"step {step}: {words}")

    return log


def _told(training: Training, batches: Batches) -> str:
    parameters = list(training.method.module.parameters())
    learning = sum(each.numel() for each in parameters if each.requires_grad)
    total = sum(each.numel() for each in parameters)
    here, config = training.world, training.config
    return (
        f"step {training.step} of {config.schedule.steps}: {_told_images(batches, config)}, "
        f"{learning:,} of {total:,} parameters learn, {here.size} x {here.device.type}"
    )


def _told_images(batches: Batches, config: RunConfig) -> str:
    images = batches.images
    if config.is_unlabelled:
        return f"{len(images)} unlabelled images"
    told = f"{len(images)} images of {len(images.class_names)} classes"
    return told if batches.target is None else f"{told}, {len(batches.target.images)} unlabelled"
