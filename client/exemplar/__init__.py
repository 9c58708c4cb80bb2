"""The Exemplar SDK: `from exemplar import Client`. Loads nothing until a name is used.

The server imports `exemplar.v1` from this package, and must not load the SDK with it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exemplar.aio import AsyncClient
    from exemplar.answers import (
        AddResult,
        Answer,
        Backbone,
        DeleteResult,
        Exemplar,
        LabelScore,
        Limits,
        Neighbor,
        RemoveResult,
        ServerInfo,
        SupportSet,
        Timings,
    )
    from exemplar.client import Client
    from exemplar.embedding import Embedding, ItemError
    from exemplar.errors import (
        AbortedError,
        AlreadyExistsError,
        CallCancelledError,
        DeadlineExceededError,
        ExemplarError,
        FailedPreconditionError,
        InvalidArgumentError,
        ItemFailedError,
        NotFoundError,
        PermissionDeniedError,
        ResourceExhaustedError,
        ServerError,
        UnauthenticatedError,
        UnavailableError,
        UnimplementedError,
    )
    from exemplar.map_result import MapPoint, MapProgress, MapResult
    from exemplar.images import NewExemplar

_NAMES_OF_MODULE = {
    "aio": ["AsyncClient"],
    "answers": [
        "AddResult",
        "Answer",
        "Backbone",
        "DeleteResult",
        "Exemplar",
        "LabelScore",
        "Limits",
        "Neighbor",
        "RemoveResult",
        "ServerInfo",
        "SupportSet",
        "Timings",
    ],
    "client": ["Client"],
    "embedding": ["Embedding", "ItemError"],
    "errors": [
        "AbortedError",
        "AlreadyExistsError",
        "CallCancelledError",
        "DeadlineExceededError",
        "ExemplarError",
        "FailedPreconditionError",
        "InvalidArgumentError",
        "ItemFailedError",
        "NotFoundError",
        "PermissionDeniedError",
        "ResourceExhaustedError",
        "ServerError",
        "UnauthenticatedError",
        "UnavailableError",
        "UnimplementedError",
    ],
    "map_result": ["MapPoint", "MapProgress", "MapResult"],
    "images": ["NewExemplar"],
}
_MODULE_OF_NAME = {name: module for module, names in _NAMES_OF_MODULE.items() for name in names}

__all__ = [  # noqa: PLE0604  (a test compares it with what type checkers see)
    *_MODULE_OF_NAME
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module 'exemplar' has no attribute {name!r}")
    return getattr(import_module(f"exemplar.{_MODULE_OF_NAME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
