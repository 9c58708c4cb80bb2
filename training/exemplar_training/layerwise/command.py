"""The verb `exemplar-train layerwise`: layer by layer without labels, then all together."""

from __future__ import annotations

import argparse

from exemplar_training.set_option import add_study

_EXAMPLES = """\
examples:
  exemplar-train layerwise fashion_layerwise.toml --out studies/layers
  exemplar-train layerwise STUDY --out studies/rbm --set pretraining.method=rbm
  exemplar-train export --checkpoint studies/layers/2 --out backbones

Ctrl-C and SIGTERM leave a checkpoint; the same command goes on from there.
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "layerwise",
        help="pretrain a backbone layer by layer, without labels",
        description="Trains the layers of STUDY one after the other, each a run in DIR, then all "
        "together; prints a table and writes DIR/result.json.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_study(parser, "pretraining.seed=1")
    parser.set_defaults(run=_layerwise)


def _layerwise(parsed: argparse.Namespace) -> None:
    # Here, because torch takes seconds to import and --help must not.
    from exemplar_training.config_file import read_as  # noqa: PLC0415
    from exemplar_training.layerwise.run import layerwise  # noqa: PLC0415
    from exemplar_training.layerwise.study import Study  # noqa: PLC0415

    study = read_as(Study, parsed.study, parsed.overrides)
    layerwise(study, parsed.out, lambda line: print(line, flush=True))  # noqa: T201 - it prints
