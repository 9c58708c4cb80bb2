"""A study of transfer from end to end; what OUT has trained before is not trained again.

OUT/source/seed0      what is learned first
OUT/frozen/5/seed0    an arm, taught by five parts
OUT/result.json       settings and everything measured
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exemplar_server.core import heads
from exemplar_server.core.classify import ClassifyOptions
from exemplar_training.config_file import flat
from exemplar_training.data.layout import DEFAULT_ROOT, read_description
from exemplar_training.evaluation.heads import scores
from exemplar_training.files import replace_file
from exemplar_training.fit.answers import embeddings, logits
from exemplar_training.fit.images import RunImages, images_of
from exemplar_training.fit.study import train_once
from exemplar_training.transfer.report import OWN_HEAD, PROTOTYPE, Measured, as_json, tables
from exemplar_training.transfer.study import arm_runs, source_runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from exemplar_training.config import RunConfig
    from exemplar_training.data.image_set import ImageSet
    from exemplar_training.transfer.study import ArmRun, Study

    Say = Callable[[str], None]

RESULT_FILE = "result.json"


def transfer(study: Study, out: Path, say: Say) -> None:
    """Trains what is not trained yet, measures, says the tables and writes the JSON.

    Ends the program after a checkpoint where a signal asks for it.

    Raises:
        TrainingError: the settings, the images, or a run in `out` of other settings.
    """
    data, here = study.shared.data, out.resolve()  # a run's settings name the one it starts from
    judging = images_of(replace(data, parts=study.judging))
    root = Path(data.root) if data.root else DEFAULT_ROOT
    parts = list(read_description(root.expanduser() / data.name).counts)
    runs = list(arm_runs(study, parts, here))  # refused before anything is trained
    for folder, config in source_runs(study, here).items():
        _trained(folder, config, lambda line: say(f"source: {line}"))
    measured = [each for arm in runs for each in _measured(arm, judging, say)]
    for line in ["", *tables(measured)]:
        say(line)
    document = {"settings": flat(study), **as_json(measured)}
    replace_file(out / RESULT_FILE, (json.dumps(document, indent=2) + "\n").encode())


def _measured(arm: ArmRun, judging: ImageSet, say: Say) -> list[Measured]:
    told = f"{arm.name} taught by {arm.count}, seed {arm.seed}: "
    taught = _trained(arm.folder, arm.config, lambda line: say(told + line))
    accuracies = _accuracies(arm.folder, taught, judging)
    say(told + ", ".join(f"{head} {100 * each:.1f}" for head, each in accuracies.items()))
    return [
        Measured(arm.name, head, arm.count, arm.seed, accuracy)
        for head, accuracy in accuracies.items()
    ]


def _trained(folder: Path, config: RunConfig, say: Say) -> ImageSet:
    """The images that the run in `folder` has learned from, now if not before."""
    images = images_of(config.data)
    train_once(config, folder, RunImages(images, None), say)
    return images


def _accuracies(run_folder: Path, taught: ImageSet, judging: ImageSet) -> dict[str, float]:
    """How much of `judging` is right by each head: the run's own, the server's on its backbone."""
    said = scores(
        embeddings(run_folder, taught),
        taught.class_ids_N,
        embeddings(run_folder, judging),
        ClassifyOptions(head=heads.PROTOTYPE),
    )
    answers: dict[str, NDArray[Any]] = {
        OWN_HEAD: logits(run_folder, judging),
        PROTOTYPE: said.scores_QL,
    }
    return {
        head: float((each.argmax(axis=1) == judging.class_ids_N).mean())
        for head, each in answers.items()
    }
