"""Commands in an installation without their extra say which one is missing."""

import subprocess
import sys

import pytest

# A None in sys.modules is a module that is not installed.
RUN = """
import sys
sys.modules[{missing!r}] = None
sys.argv = {command!r}.split()
from {module} import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("command", "module", "missing", "extra"),
    [
        ("exemplar-server serve", "exemplar_server.cli", "structlog", "server"),
        (
            "exemplar-train export --backbone lite0 --out .",
            "exemplar_training.cli",
            "numpy",
            "training",
        ),
        ("exemplar map inspection --out map.png", "exemplar.cli", "matplotlib", "pictures"),
    ],
)
def test_a_command_without_its_extra_names_it(command, module, missing, extra, tmp_path):
    code = RUN.format(missing=missing, command=command, module=module)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    expected = f"{command.split()[0]}: {missing} is missing: pip install 'exemplar[{extra}]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected)
