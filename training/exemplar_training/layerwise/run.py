"""A study of layer-wise pretraining from end to end; what OUT has trained is not trained again.

OUT/1, OUT/2, ...    the layers, each a run that starts from the one before
OUT/supervised       or OUT/unrolled: fine-tuning
OUT/result.json      settings and everything measured
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from exemplar_training.config_file import flat
from exemplar_training.files import replace_file
from exemplar_training.fit.images import images_of, images_of_run
from exemplar_training.fit.study import train_once
from exemplar_training.layerwise.measured import row_of, table
from exemplar_training.layerwise.study import stages, tuned

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exemplar_training.data.image_set import ImageSet
    from exemplar_training.fit.images import RunImages
    from exemplar_training.layerwise.measured import Row
    from exemplar_training.layerwise.study import Planned, Study

RESULT_FILE = "result.json"


def layerwise(study: Study, out: Path, say: Callable[[str], None]) -> list[Row]:
    """Trains what is not trained yet, measures, says the table and writes the JSON.

    Ends the program after a checkpoint where a signal asks for it.

    Raises:
        TrainingError: the settings, the images, or a run in `out` of other settings.
    """
    here = out.resolve()  # a run's settings name the one that it starts from
    test = images_of(study.test, has_classes=study.fine_tuning == "supervised")
    given = images_of_run(study.pretraining)
    rows = [_done(planned, given, test, say) for planned in stages(study, here)]
    rows += [_done(each, images_of_run(each.config), test, say) for each in tuned(study, here)]
    for line in ["", *table(rows, test)]:
        say(line)
    say(f"\nnext: exemplar-train export --checkpoint {out / rows[-1].name} --out backbones")
    document = {"settings": flat(study), "runs": [asdict(row) for row in rows]}
    replace_file(out / RESULT_FILE, (json.dumps(document, indent=2) + "\n").encode())
    return rows


def _done(planned: Planned, given: RunImages, test: ImageSet, say: Callable[[str], None]) -> Row:
    told = f"{planned.config.method}, {planned.layers}: "
    train_once(planned.config, planned.folder, given, lambda line: say(told + line))
    return row_of(planned.name, planned.layers, planned.folder, test)
