"""Imports torchvision beside a torch that its wheel was not built for. Import it only from here.

PyPI's torchvision is built for CUDA: beside a CPU torch its compiled operators cannot load, and
`import torchvision` raises "operator torchvision::nms does not exist". With the two schemas that it
looks for defined first, everything but those operators (nms, roi_align) works.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from types import ModuleType

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


@cache
def torchvision_module(name: str) -> ModuleType:
    """A module of torchvision, such as "torchvision.models"."""
    if "torchvision" not in sys.modules and not _compiled_operators_load():
        _define_schemas()
    return importlib.import_module(name)


def _compiled_operators_load() -> bool:
    package = importlib.util.find_spec("torchvision")
    if package is None or package.origin is None:
        return True
    library = Path(package.origin).with_name("_C.so")
    try:
        torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
    except OSError:
        return False
    return True


@cache
def _define_schemas() -> torch.library.Library:
    """The library that holds the schemas: they live as long as it does, hence the cache."""
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        library.define(schema)  # type: ignore[no-untyped-call]
    return library
