"""A comparison from end to end; what OUT has trained or judged before is not done again.

OUT/byol/seed0      the run of an arm for a seed
OUT/judged.json     shares of right answers, by a hash of the weights
OUT/result.json     settings and everything measured; OUT/table.md and OUT/compare.html show it
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exemplar_training.comparison import table
from exemplar_training.comparison.judge import Judge, untrained
from exemplar_training.comparison.page import page
from exemplar_training.comparison.rows import Measured, as_json, rows_of
from exemplar_training.comparison.seen import warnings_of
from exemplar_training.comparison.study import arm_runs
from exemplar_training.comparison.verdict import best_arm, verdict
from exemplar_training.config_file import flat
from exemplar_training.evaluation.trial import draw
from exemplar_training.files import make_output, replace_file
from exemplar_training.fit import metrics
from exemplar_training.fit.images import images_of_run
from exemplar_training.fit.study import train_once
from exemplar_training.fit.trained import trained_backbone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from exemplar_training.comparison.rows import Row
    from exemplar_training.comparison.study import ArmRun, Study
    from exemplar_training.evaluation.trial import Drawn
    from exemplar_training.fit.images import RunImages

    Say = Callable[[str], None]

RESULT_FILE, TABLE_FILE, PAGE_FILE = "result.json", "table.md", "compare.html"


@dataclass(frozen=True)
class _Found:
    """All that the files of a comparison tell."""

    study: Study
    drawn: Drawn
    warnings: list[str]
    rows: list[Row]

    @property
    def told(self) -> list[str]:
        """What was measured on what, and how the figures are meant."""
        marked = [f"warning   {words}" for words in self.warnings]
        return [*self.drawn.told, *marked, "", table.told(self.study.seeds, self.study.main)]


def compare(study: Study, out: Path, say: Say) -> None:
    """Trains what is not trained yet, judges it, says the table and writes the files.

    Ends the program after a checkpoint where a signal asks for it.

    Raises:
        TrainingError: the settings, the images, what an arm would see of the judging ones, or a
            run in `out` of other settings; all but the last before anything is trained.
    """
    here = out.resolve()
    runs = arm_runs(study, here)
    drawn = draw(study.trial.trial)
    firsts = runs[: len(study.arms)]  # other seeds are given the same images
    given = {run.name: images_of_run(run.config) for run in firsts}
    warnings = warnings_of(firsts, given, drawn.images)
    make_output(here)
    judge = Judge(drawn, here)
    raw = judge.of_raw_pixels()
    measured = [_measured(run, given[run.name], judge, study.main, say) for run in runs]
    rows = rows_of(measured, raw, study.sorted_by)
    _write(_Found(study, drawn, warnings, rows), out, say)


def _measured(run: ArmRun, given: RunImages, judge: Judge, main: str, say: Say) -> Measured:
    told = f"{run.name}, seed {run.seed}: "
    floor, network = untrained(run.config.model, run.seed)
    before = judge.of(network, floor)
    train_once(run.config, run.folder, given, lambda line: say(told + line))
    after = judge.of(trained_backbone(run.folder), f"{run.name}, seed {run.seed}")
    seconds = _seconds(metrics.read(run.folder))
    say(f"{told}{100 * after[main]:.1f} % at {main}, untrained {100 * before[main]:.1f} %")
    return Measured(run.name, after, floor, before, *seconds)


def _seconds(log: Sequence[Mapping[str, float]]) -> tuple[float, float]:
    """Wall and processor seconds of all steps; a log from before there were any has 0."""
    wall, processor = (
        sum(line.get(name, 0.0) for line in log) for name in ("wall_seconds", "processor_seconds")
    )
    return wall, processor


def _write(found: _Found, out: Path, say: Say) -> None:
    study, rows = found.study, found.rows
    words = verdict(rows, study.main)
    for line in [*found.told, *table.lines(rows, study.columns, study.main), "", words]:
        say(line)
    document = {
        "settings": flat(study),
        "warnings": found.warnings,
        "verdict": words,
        "rows": as_json(rows),
    }
    replace_file(out / RESULT_FILE, (json.dumps(document, indent=1) + "\n").encode())
    replace_file(out / TABLE_FILE, _markdown(found, words).encode())
    replace_file(out / PAGE_FILE, page(study, found.drawn, rows, found.warnings))
    say(f"page      {out / PAGE_FILE}")
    first = out / best_arm(rows, study.main).name / f"seed{study.seeds[0]}"
    say(f"\nnext: exemplar-train export --checkpoint {first} --out backbones")


def _markdown(found: _Found, words: str) -> str:
    study = found.study
    rows = table.markdown(found.rows, study.columns, study.main)
    arms = [f"- {name}: `{overrides or 'as shared'}`" for name, overrides in study.arms.items()]
    lines = ["```", *found.told, "```", "", words, "", *rows, "", *arms]
    return "\n".join([f"# Ways to make a backbone, on {found.drawn.images.name}", "", *lines, ""])
