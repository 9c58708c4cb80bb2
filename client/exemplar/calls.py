"""What a plan is made of: the API's methods, and the steps that ask for I/O.

A plan is a generator that yields steps and returns its result. It does no I/O itself: client.py
performs the steps blocking, aio.py without blocking. Responses come through a step's `take`, in
order; a step that fails is thrown back into the plan as an ExemplarError.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from exemplar.v1 import (
    admin_pb2,
    classification_pb2,
    embedding_pb2,
    evaluation_pb2,
    map_pb2,
    support_set_pb2,
    transfer_pb2,
    upgrade_pb2,
)

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
T = TypeVar("T")

# Requests of one reading call that are under way at once: they keep a server of a few sessions
# busy while the next images are read, and stay far below its queue.
IN_FLIGHT = 4


@dataclass(frozen=True)
class Method(Generic[RequestT, ResponseT]):
    path: str
    request_type: type[RequestT]
    response_type: type[ResponseT]


@dataclass(frozen=True)
class Call(Generic[RequestT, ResponseT]):
    """One call with one response. `timeout_seconds`: default (None) the client's."""

    method: Method[RequestT, ResponseT]
    request: RequestT
    take: Callable[[ResponseT], object]
    timeout_seconds: float | None = None
    wait_for_ready: bool = False


@dataclass(frozen=True)
class Calls:
    """Independent calls, IN_FLIGHT of them at once; their responses are taken in order.

    The iterator is advanced only when one may start: no more images are read than are under way.
    """

    calls: Iterator[Call[Any, Any]]


@dataclass(frozen=True)
class StreamingCall(Generic[RequestT, ResponseT]):
    """One call with many responses, all of them taken."""

    method: Method[RequestT, ResponseT]
    request: RequestT
    take: Callable[[ResponseT], object]
    timeout_seconds: float


@dataclass(frozen=True)
class UploadingCall(Generic[RequestT, ResponseT]):
    """One call with many requests and many responses, all of them taken.

    The iterator is advanced as the server takes its requests. It may block, and must not raise.
    """

    method: Method[RequestT, ResponseT]
    requests: Iterator[RequestT]
    take: Callable[[ResponseT], object]
    timeout_seconds: float


@dataclass(frozen=True)
class Pause:
    seconds: float


@dataclass(frozen=True)
class Work:
    """Something that may block for a moment, such as reading images from files."""

    function: Callable[[], object]


Step = Call[Any, Any] | Calls | StreamingCall[Any, Any] | UploadingCall[Any, Any] | Pause | Work
Plan = Generator[Step, None, T]


def send(
    method: Method[RequestT, ResponseT],
    request: RequestT,
    *,
    timeout_seconds: float | None = None,
    wait_for_ready: bool = False,
) -> Plan[ResponseT]:
    responses: list[ResponseT] = []
    yield Call(method, request, responses.append, timeout_seconds, wait_for_ready)
    return responses[0]


def work(function: Callable[[], T]) -> Plan[T]:
    results: list[T] = []
    yield Work(lambda: results.append(function()))
    return results[0]


_V1 = "/exemplar.v1."

GET_SERVER_INFO = Method(
    _V1 + "ServerService/GetServerInfo",
    admin_pb2.GetServerInfoRequest,
    admin_pb2.GetServerInfoResponse,
)
EMBED = Method(
    _V1 + "EmbeddingService/Embed", embedding_pb2.EmbedRequest, embedding_pb2.EmbedResponse
)
LIST_BACKBONES = Method(
    _V1 + "EmbeddingService/ListBackbones",
    embedding_pb2.ListBackbonesRequest,
    embedding_pb2.ListBackbonesResponse,
)
CLASSIFY = Method(
    _V1 + "ClassificationService/Classify",
    classification_pb2.ClassifyRequest,
    classification_pb2.ClassifyResponse,
)
STREAM_CLASSIFY = Method(
    _V1 + "ClassificationService/StreamClassify",
    classification_pb2.StreamClassifyRequest,
    classification_pb2.StreamClassifyResponse,
)
EVALUATE = Method(
    _V1 + "EvaluationService/EvaluateSupportSet",
    evaluation_pb2.EvaluateSupportSetRequest,
    evaluation_pb2.EvaluateSupportSetResponse,
)
COMPUTE_MAP = Method(
    _V1 + "MapService/ComputeMap", map_pb2.ComputeMapRequest, map_pb2.ComputeMapResponse
)
COMPUTE_MAP_OF_ITEMS = Method(
    _V1 + "MapService/ComputeMapOfItems",
    map_pb2.ComputeMapOfItemsRequest,
    map_pb2.ComputeMapOfItemsResponse,
)
PLACE_ON_MAP = Method(
    _V1 + "MapService/PlaceOnMap", map_pb2.PlaceOnMapRequest, map_pb2.PlaceOnMapResponse
)
CREATE_SUPPORT_SET = Method(
    _V1 + "SupportSetService/CreateSupportSet",
    support_set_pb2.CreateSupportSetRequest,
    support_set_pb2.CreateSupportSetResponse,
)
GET_SUPPORT_SET = Method(
    _V1 + "SupportSetService/GetSupportSet",
    support_set_pb2.GetSupportSetRequest,
    support_set_pb2.GetSupportSetResponse,
)
LIST_SUPPORT_SETS = Method(
    _V1 + "SupportSetService/ListSupportSets",
    support_set_pb2.ListSupportSetsRequest,
    support_set_pb2.ListSupportSetsResponse,
)
DELETE_SUPPORT_SET = Method(
    _V1 + "SupportSetService/DeleteSupportSet",
    support_set_pb2.DeleteSupportSetRequest,
    support_set_pb2.DeleteSupportSetResponse,
)
ADD_EXEMPLARS = Method(
    _V1 + "SupportSetService/AddExemplars",
    support_set_pb2.AddExemplarsRequest,
    support_set_pb2.AddExemplarsResponse,
)
REMOVE_EXEMPLARS = Method(
    _V1 + "SupportSetService/RemoveExemplars",
    support_set_pb2.RemoveExemplarsRequest,
    support_set_pb2.RemoveExemplarsResponse,
)
UPDATE_EXEMPLARS = Method(
    _V1 + "SupportSetService/UpdateExemplars",
    support_set_pb2.UpdateExemplarsRequest,
    support_set_pb2.UpdateExemplarsResponse,
)
UPDATE_SUPPORT_SET = Method(
    _V1 + "SupportSetService/UpdateSupportSet",
    support_set_pb2.UpdateSupportSetRequest,
    support_set_pb2.UpdateSupportSetResponse,
)
COPY_SUPPORT_SET = Method(
    _V1 + "SupportSetService/CopySupportSet",
    support_set_pb2.CopySupportSetRequest,
    support_set_pb2.CopySupportSetResponse,
)
CREATE_SNAPSHOT = Method(
    _V1 + "SupportSetService/CreateSnapshot",
    support_set_pb2.CreateSnapshotRequest,
    support_set_pb2.CreateSnapshotResponse,
)
LIST_SNAPSHOTS = Method(
    _V1 + "SupportSetService/ListSnapshots",
    support_set_pb2.ListSnapshotsRequest,
    support_set_pb2.ListSnapshotsResponse,
)
DELETE_SNAPSHOT = Method(
    _V1 + "SupportSetService/DeleteSnapshot",
    support_set_pb2.DeleteSnapshotRequest,
    support_set_pb2.DeleteSnapshotResponse,
)
ROLL_BACK_SUPPORT_SET = Method(
    _V1 + "SupportSetService/RollBackSupportSet",
    support_set_pb2.RollBackSupportSetRequest,
    support_set_pb2.RollBackSupportSetResponse,
)
DELETE_TENANT = Method(
    _V1 + "SupportSetService/DeleteTenant",
    support_set_pb2.DeleteTenantRequest,
    support_set_pb2.DeleteTenantResponse,
)
WARM_UP = Method(
    _V1 + "SupportSetService/WarmUp",
    support_set_pb2.WarmUpRequest,
    support_set_pb2.WarmUpResponse,
)
LIST_EXEMPLARS = Method(
    _V1 + "SupportSetService/ListExemplars",
    support_set_pb2.ListExemplarsRequest,
    support_set_pb2.ListExemplarsResponse,
)
EXPORT_SUPPORT_SET = Method(
    _V1 + "TransferService/ExportSupportSet",
    transfer_pb2.ExportSupportSetRequest,
    transfer_pb2.ExportSupportSetResponse,
)
IMPORT_SUPPORT_SET = Method(
    _V1 + "TransferService/ImportSupportSet",
    transfer_pb2.ImportSupportSetRequest,
    transfer_pb2.ImportSupportSetResponse,
)
START_UPGRADE = Method(
    _V1 + "UpgradeService/StartUpgrade",
    upgrade_pb2.StartUpgradeRequest,
    upgrade_pb2.StartUpgradeResponse,
)
GET_UPGRADE = Method(
    _V1 + "UpgradeService/GetUpgrade",
    upgrade_pb2.GetUpgradeRequest,
    upgrade_pb2.GetUpgradeResponse,
)
LIST_UPGRADES = Method(
    _V1 + "UpgradeService/ListUpgrades",
    upgrade_pb2.ListUpgradesRequest,
    upgrade_pb2.ListUpgradesResponse,
)
ROLL_BACK_UPGRADE = Method(
    _V1 + "UpgradeService/RollBackUpgrade",
    upgrade_pb2.RollBackUpgradeRequest,
    upgrade_pb2.RollBackUpgradeResponse,
)
CANCEL_UPGRADE = Method(
    _V1 + "UpgradeService/CancelUpgrade",
    upgrade_pb2.CancelUpgradeRequest,
    upgrade_pb2.CancelUpgradeResponse,
)
FINISH_UPGRADE = Method(
    _V1 + "UpgradeService/FinishUpgrade",
    upgrade_pb2.FinishUpgradeRequest,
    upgrade_pb2.FinishUpgradeResponse,
)
