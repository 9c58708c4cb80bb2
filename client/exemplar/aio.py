"""The asyncio client: the methods of Client, to be awaited or iterated with `async for`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from functools import partial
from types import TracebackType
from typing import Self

from exemplar import adding_plan, evaluation, inference_plans, support_set_plans
from exemplar.adding_plan import AddOptions
from exemplar.aio_lifecycle import AsyncLifecycleMethods
from exemplar.aio_maps import AsyncMapMethods
from exemplar.aio_transfers import AsyncTransferMethods
from exemplar.aio_upgrades import AsyncUpgradeMethods
from exemplar.answers import (
    AddResult,
    Answer,
    Backbone,
    DeleteResult,
    Exemplar,
    RemoveResult,
    ServerInfo,
    SupportSet,
)
from exemplar.async_driver import AsyncDriver
from exemplar.channel import connection
from exemplar.embedding import Embedding
from exemplar.evaluation import EvaluateOptions, Evaluation
from exemplar.images import Image, ImageFile, Labelled
from exemplar.inference_plans import ClassifyOptions
from exemplar.memory import Memory, known_limits, server_info
from exemplar.stream import ClassifyStream, Request
from exemplar.v1 import support_set_pb2


class AsyncClient(
    AsyncTransferMethods, AsyncMapMethods, AsyncLifecycleMethods, AsyncUpgradeMethods
):
    """As Client, method by method. Make it and use it in one event loop."""

    def __init__(
        self,
        target: str = "127.0.0.1:50051",
        *,
        tenant: str | None = None,
        api_key: str | None = None,
        root_certificates: bytes | str | os.PathLike[str] | None = None,
        tls: bool = False,
        timeout_seconds: float = 30.0,
    ) -> None:
        self._driver = AsyncDriver(
            connection(target, tenant, api_key, root_certificates, tls), timeout_seconds
        )
        self._memory = Memory()

    async def close(self) -> None:
        await self._driver.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def wait_until_ready(self, timeout_seconds: float = 60.0) -> ServerInfo:
        return await self._driver.run(
            inference_plans.wait_until_ready(self._memory, timeout_seconds)
        )

    async def get_server_info(self) -> ServerInfo:
        return await self._driver.run(server_info(self._memory))

    async def list_backbones(self) -> list[Backbone]:
        return await self._driver.run(inference_plans.list_backbones())

    async def create_support_set(
        self,
        name: str,
        *,
        backbone: str = "",
        keep_images: bool = True,
        request_id: str | None = None,
    ) -> SupportSet:
        return await self._driver.run(
            support_set_plans.create_support_set(
                self._memory, name, backbone, keep_images, request_id
            )
        )

    async def get_support_set(self, name: str, *, min_revision: int | None = None) -> SupportSet:
        return await self._driver.run(
            support_set_plans.get_support_set(self._memory, name, min_revision)
        )

    def list_support_sets(self, *, page_size: int = 0) -> AsyncIterator[SupportSet]:
        return self._driver.pages(partial(support_set_plans.list_support_sets_page, page_size))

    async def delete_support_set(
        self, name: str, *, expected_revision: int | None = None, request_id: str | None = None
    ) -> DeleteResult:
        return await self._driver.run(
            support_set_plans.delete_support_set(self._memory, name, expected_revision, request_id)
        )

    async def add_exemplars(
        self,
        support_set: str,
        exemplars: Iterable[Labelled],
        *,
        all_or_nothing: bool = False,
        expected_revision: int | None = None,
        request_id: str | None = None,
        progress: bool = False,
    ) -> AddResult:
        options = AddOptions(all_or_nothing, expected_revision, request_id, progress)
        return await self._driver.run(
            adding_plan.add_exemplars(self._memory, support_set, exemplars, options)
        )

    async def remove_exemplars(
        self,
        support_set: str,
        exemplar_ids: Iterable[str],
        *,
        expected_revision: int | None = None,
        request_id: str | None = None,
    ) -> RemoveResult:
        return await self._driver.run(
            support_set_plans.remove_exemplars(
                self._memory, support_set, exemplar_ids, expected_revision, request_id
            )
        )

    def list_exemplars(
        self,
        support_set: str,
        *,
        label: str = "",
        embeddings: bool = False,
        thumbnails: bool = False,
        min_revision: int | None = None,
        page_size: int = 0,
    ) -> AsyncIterator[Exemplar]:
        request = support_set_pb2.ListExemplarsRequest(
            support_set=support_set,
            page_size=page_size,
            label=label,
            min_revision=self._memory.wanted_revision(support_set, min_revision),
            include_embeddings=embeddings,
            include_thumbnails=thumbnails,
        )
        return self._driver.pages(
            partial(support_set_plans.list_exemplars_page, self._memory, request)
        )

    async def embed(
        self, images: Iterable[ImageFile], *, backbone: str = "", progress: bool = False
    ) -> list[Embedding]:
        return await self._driver.run(
            inference_plans.embed(self._memory, images, backbone, progress)
        )

    async def classify(
        self,
        support_set: str,
        queries: Iterable[Image],
        *,
        k: int | None = None,
        head: str | None = None,
        temperature: float | None = None,
        neighbors: bool = True,
        false_accept_rate: float | None = None,
        coverage: float | None = None,
        exact: bool = False,
        min_revision: int | None = None,
        progress: bool = False,
    ) -> list[Answer]:
        asked = ClassifyOptions(k, head, temperature, neighbors, false_accept_rate, coverage, exact)
        return await self._driver.run(
            inference_plans.classify(
                self._memory,
                support_set,
                queries,
                asked,
                min_revision=min_revision,
                progress=progress,
            )
        )

    async def evaluate(
        self,
        support_set: str,
        *,
        head: str | None = None,
        k: int | None = None,
        min_revision: int | None = None,
        thumbnails: bool = False,
        findings: int | None = None,
    ) -> Evaluation:
        options = EvaluateOptions(head, k, thumbnails, findings)
        return await self._driver.run(
            evaluation.evaluate(self._memory, support_set, options, min_revision)
        )

    async def stream_classify(
        self,
        support_set: str,
        queries: Iterable[Image] | AsyncIterable[Image],
        *,
        k: int | None = None,
        head: str | None = None,
        temperature: float | None = None,
        neighbors: bool = True,
        false_accept_rate: float | None = None,
        coverage: float | None = None,
        exact: bool = False,
        min_revision: int | None = None,
        images_per_request: int = 1,
        timeout_seconds: float | None = None,
    ) -> AsyncIterator[Answer]:
        asked = ClassifyOptions(k, head, temperature, neighbors, false_accept_rate, coverage, exact)
        limits = await self._driver.run(known_limits(self._memory))
        revision = self._memory.wanted_revision(support_set, min_revision)
        stream = ClassifyStream(support_set, asked, limits, revision, images_per_request)
        async for answer in self._driver.stream(
            stream, _requests(stream, queries), timeout_seconds
        ):
            yield answer
        if stream.failure:
            raise stream.failure


async def _requests(
    stream: ClassifyStream, queries: Iterable[Image] | AsyncIterable[Image]
) -> AsyncIterator[Request]:
    """Runs in grpc's task, which would log what the caller's iterable raises and hide it."""
    try:
        async for image in _each(queries):
            for request in await asyncio.to_thread(stream.push, image):
                yield request
    except Exception as failure:  # noqa: BLE001  (the caller's iterable: raised to the caller)
        stream.failure = failure
    for request in stream.finish():
        yield request


async def _each(queries: Iterable[Image] | AsyncIterable[Image]) -> AsyncIterator[Image]:
    if isinstance(queries, AsyncIterable):
        async for image in queries:
            yield image
    else:
        for image in queries:
            yield image
