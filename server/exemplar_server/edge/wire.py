"""Protobuf to domain: every check of a request's fields, and nothing else.

Messages name the field, the expectation and the value.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal, Protocol

from exemplar.v1 import classification_pb2 as classification
from exemplar.v1 import support_set_pb2 as support_set
from exemplar_server.core import heads
from exemplar_server.core.classify import ClassifyOptions
from exemplar_server.core.contents import Labelled
from exemplar_server.core.exemplars import Listing, RequestKey
from exemplar_server.edge.checks import (
    check_count,
    check_label,
    check_metadata,
    check_positive,
    check_range,
    content,
    shown,
)
from exemplar_server.edge.credentials import NAME
from exemplar_server.errors import ExemplarError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exemplar.v1 import embedding_pb2 as embedding
    from exemplar.v1 import evaluation_pb2 as evaluation
    from exemplar_server.core.contents import Content
    from exemplar_server.core.limits import Limits

HEADS = {
    classification.HEAD_UNSPECIFIED: heads.DEFAULT_HEAD,
    classification.HEAD_KNN: heads.KNN,
    classification.HEAD_PROTOTYPE: heads.PROTOTYPE,
    classification.HEAD_RIDGE: heads.RIDGE,
    classification.HEAD_AUTO: heads.AUTO,
}
MAX_PAGE = 1000
DEFAULT_PAGE = 100
MAX_REQUEST_ID = 64
MAX_TEMPERATURE = 100.0


class Mutation(Protocol):
    """A request that changes something."""

    request_id: str

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes: ...


class Change(Protocol):
    """A request that changes a support set which is there."""

    expected_revision: int

    def HasField(self, field_name: Literal["expected_revision"]) -> bool: ...


def name(field: str, value: str) -> str:
    """A support set's name or an exemplar's id."""
    if not NAME.fullmatch(value):
        raise InvalidInputError(
            f"{field}: expected [A-Za-z0-9._-]{{1,64}}, not . or .., got {shown(value)}"
        )
    return value


def backbone(value: str) -> str:
    """A name or name@version; empty for the default one."""
    for part in value.split("@", 1) if value else ():
        name("backbone", part)
    return value


def images(request: embedding.EmbedRequest, limits: Limits) -> Sequence[bytes]:
    check_count("images", request.images, limits.images_per_request)
    return request.images


def request_key(request: Mutation) -> RequestKey:
    """What makes a retry of this request harmless."""
    request_id = request.request_id
    if len(request_id) > MAX_REQUEST_ID or not request_id.isprintable():
        raise InvalidInputError(
            f"request_id: expected up to {MAX_REQUEST_ID} printable characters, "
            f"got {shown(request_id)}"
        )
    method = type(request).__name__.removesuffix("Request")
    if not request_id:
        return RequestKey(method, "", b"")
    serialized = request.SerializeToString(deterministic=True)
    return RequestKey(method, request_id, hashlib.sha256(serialized).digest())


def expected_revision(request: Change) -> int | None:
    return request.expected_revision if request.HasField("expected_revision") else None


def keep_images(request: support_set.CreateSupportSetRequest) -> bool:
    return request.keep_images if request.HasField("keep_images") else True


def exemplars(request: support_set.AddExemplarsRequest, limits: Limits) -> list[Labelled]:
    """The exemplars to add; what is wrong with one stands in its `content`."""
    check_count("exemplars", request.exemplars, limits.images_per_request)
    return [
        Labelled(
            item.label,
            _checked_exemplar(f"exemplars[{number}]", item, limits),
            item.exemplar_id,
            dict(item.metadata),
        )
        for number, item in enumerate(request.exemplars)
    ]


def exemplar_ids(request: support_set.RemoveExemplarsRequest) -> Sequence[str]:
    check_count("exemplar_ids", request.exemplar_ids, MAX_PAGE)
    return [
        name(f"exemplar_ids[{number}]", value) for number, value in enumerate(request.exemplar_ids)
    ]


def queries(request: classification.ClassifyRequest, limits: Limits) -> list[Content]:
    check_count("queries", request.queries, limits.images_per_request)
    return [content(f"queries[{number}]", query) for number, query in enumerate(request.queries)]


def classify_options(request: classification.ClassifyRequest, limits: Limits) -> ClassifyOptions:
    head, k = head_and_k(request, limits)
    has_temperature = request.HasField("temperature")
    temperature = request.temperature if has_temperature else heads.DEFAULT_TEMPERATURE
    check_positive("temperature", temperature, MAX_TEMPERATURE)
    false_accept_rate, coverage = _rates(request)
    return ClassifyOptions(
        k,
        head,
        temperature,
        request.include_neighbors,
        false_accept_rate,
        coverage,
        request.exact,
    )


def head_and_k(
    request: classification.ClassifyRequest | evaluation.EvaluateSupportSetRequest, limits: Limits
) -> tuple[str, int]:
    k = request.k if request.HasField("k") else heads.DEFAULT_K
    check_range("k", k, 1, limits.neighbors)
    if request.head not in HEADS:
        known = ", ".join(classification.Head.keys())
        raise InvalidInputError(f"head: expected one of {known}, got {request.head}")
    return HEADS[request.head], k


def _rates(request: classification.ClassifyRequest) -> tuple[float | None, float | None]:
    rate = request.false_accept_rate if request.HasField("false_accept_rate") else None
    if rate is not None and not 0 <= rate <= 1:
        raise InvalidInputError(f"false_accept_rate: expected 0..1, got {rate:g}")
    coverage = request.coverage if request.HasField("coverage") else None
    if coverage is not None and not 0 < coverage < 1:
        raise InvalidInputError(f"coverage: expected above 0 and below 1, got {coverage:g}")
    # Floats on the wire: 0.9 is 0.8999999762 there, 0.1 is 0.1000000015.
    return rate, None if coverage is None else round(coverage, 6)


def page_size(size: int) -> int:
    check_range("page_size", size or DEFAULT_PAGE, 1, MAX_PAGE)
    return size or DEFAULT_PAGE


def page_token(token: str) -> str:
    """Pages go by name or id: the token is the last one of the page before."""
    return name("page_token", token) if token else ""


def listing(request: support_set.ListExemplarsRequest) -> Listing:
    return Listing(
        after=page_token(request.page_token),
        count=page_size(request.page_size),
        label=request.label,
        embeddings=request.include_embeddings,
    )


def _checked_exemplar(path: str, item: support_set.NewExemplar, limits: Limits) -> Content:
    try:
        check_label(path, item.label, limits)
        if item.exemplar_id:
            name(f"{path}.exemplar_id", item.exemplar_id)
        check_metadata(path, item.metadata, limits)
    except ExemplarError as error:
        return error
    return content(path, item)
