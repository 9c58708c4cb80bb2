"""Which backbone of a folder is served."""

import shutil

import pytest

from exemplar_server.core.artifact import find_artifact


@pytest.mark.parametrize(
    ("versions", "newest"),
    [(["2", "10"], "10"), (["1.10", "2.0"], "2.0"), (["1.9", "1.10"], "1.10")],
)
def test_the_newest_version_is_served(backbone_dir, tmp_path, versions, newest):
    directory = next(backbone_dir.rglob("manifest.json")).parent
    for version in versions:
        shutil.copytree(directory, tmp_path / "backbones" / "tiny" / version)
    assert find_artifact(tmp_path / "backbones", "").directory.name == newest
