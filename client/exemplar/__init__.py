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
        Calibration,
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
    from exemplar.evaluation import (
        Accuracy,
        Confusion,
        Duplicate,
        Evaluation,
        LabelEvaluation,
        Suspect,
    )
    from exemplar.images import NewExemplar
    from exemplar.lifecycle import (
        CopyResult,
        DeletionReceipt,
        ExemplarUpdate,
        ImagesResult,
        RollBackResult,
        Snapshot,
        SnapshotResult,
        UpdateResult,
        WarmUpResult,
    )
    from exemplar.map_result import MapPoint, MapPosition, MapProgress, MapResult, PlacedQuery
    from exemplar.upgrades import Gate, Upgrade

__all__ = [
    "AbortedError",
    "Accuracy",
    "AddResult",
    "AlreadyExistsError",
    "Answer",
    "AsyncClient",
    "Backbone",
    "Calibration",
    "CallCancelledError",
    "Client",
    "Confusion",
    "CopyResult",
    "DeadlineExceededError",
    "DeleteResult",
    "DeletionReceipt",
    "Duplicate",
    "Embedding",
    "Evaluation",
    "Exemplar",
    "ExemplarError",
    "ExemplarUpdate",
    "FailedPreconditionError",
    "Gate",
    "ImagesResult",
    "InvalidArgumentError",
    "ItemError",
    "ItemFailedError",
    "LabelEvaluation",
    "LabelScore",
    "Limits",
    "MapPoint",
    "MapPosition",
    "MapProgress",
    "MapResult",
    "Neighbor",
    "NewExemplar",
    "NotFoundError",
    "PermissionDeniedError",
    "PlacedQuery",
    "RemoveResult",
    "ResourceExhaustedError",
    "RollBackResult",
    "ServerError",
    "ServerInfo",
    "Snapshot",
    "SnapshotResult",
    "SupportSet",
    "Suspect",
    "Timings",
    "UnauthenticatedError",
    "UnavailableError",
    "UnimplementedError",
    "UpdateResult",
    "Upgrade",
    "WarmUpResult",
]

_MODULE_OF = {
    "AbortedError": "errors",
    "Accuracy": "evaluation",
    "AddResult": "answers",
    "AlreadyExistsError": "errors",
    "Answer": "answers",
    "AsyncClient": "aio",
    "Backbone": "answers",
    "Calibration": "answers",
    "CallCancelledError": "errors",
    "Client": "client",
    "Confusion": "evaluation",
    "CopyResult": "lifecycle",
    "DeadlineExceededError": "errors",
    "DeleteResult": "answers",
    "DeletionReceipt": "lifecycle",
    "Duplicate": "evaluation",
    "Embedding": "embedding",
    "Evaluation": "evaluation",
    "Exemplar": "answers",
    "ExemplarError": "errors",
    "ExemplarUpdate": "lifecycle",
    "FailedPreconditionError": "errors",
    "Gate": "upgrades",
    "ImagesResult": "lifecycle",
    "InvalidArgumentError": "errors",
    "ItemError": "embedding",
    "ItemFailedError": "errors",
    "LabelEvaluation": "evaluation",
    "LabelScore": "answers",
    "Limits": "answers",
    "MapPoint": "map_result",
    "MapPosition": "map_result",
    "MapProgress": "map_result",
    "MapResult": "map_result",
    "Neighbor": "answers",
    "NewExemplar": "images",
    "NotFoundError": "errors",
    "PermissionDeniedError": "errors",
    "PlacedQuery": "map_result",
    "RemoveResult": "answers",
    "ResourceExhaustedError": "errors",
    "RollBackResult": "lifecycle",
    "ServerError": "errors",
    "ServerInfo": "answers",
    "Snapshot": "lifecycle",
    "SnapshotResult": "lifecycle",
    "SupportSet": "answers",
    "Suspect": "evaluation",
    "Timings": "answers",
    "UnauthenticatedError": "errors",
    "UnavailableError": "errors",
    "UnimplementedError": "errors",
    "UpdateResult": "lifecycle",
    "Upgrade": "upgrades",
    "WarmUpResult": "lifecycle",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'exemplar' has no attribute {name!r}")
    return getattr(import_module(f"exemplar.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
