"""What is learned without labels from letters of 14 scripts, judged by 6 that no training saw.

Plays the study scripts_without_labels.toml and ends with 1 where a method falls below its frozen
figure: mean minus three deviations of the runs in results/2026-11-25-scripts-without-labels.md.

    exemplar-train data fetch scripts unseen-scripts
    python tests/bench/glyphs.py --out build/glyphs      # half an hour of one core; goes on
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import fmean

from exemplar_training.comparison.run import RESULT_FILE, compare
from exemplar_training.comparison.study import Study
from exemplar_training.config_file import read_as

STUDY = Path(__file__).parents[2] / "training/exemplar_training/configs/scripts_without_labels.toml"
# Percent right, 20-way 1-shot by prototypes.
FROZEN = {"simclr": 66.6, "moco": 58.2, "byol": 47.6, "simsiam": 52.3, "cpc": 40.3}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True, type=Path, help="a folder for the runs")
    asked = parser.parse_args()
    study = read_as(Study, STUDY, [])
    compare(study, asked.out, print)
    result = json.loads((asked.out / RESULT_FILE).read_text(encoding="utf-8"))
    rows = {row["name"]: row["accuracies"][study.main] for row in result["rows"]}
    means = {name: 100 * fmean(rows[name]) for name in FROZEN}
    for name, mean in means.items():
        print(f"{name}: {mean:.1f} %, frozen at {FROZEN[name]}")
    return int(any(mean < FROZEN[name] for name, mean in means.items()))


if __name__ == "__main__":
    sys.exit(main())
