"""The blocking client: the API as methods. What they ask and answer is in the plans."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Self

from exemplar import adding_plan, evaluation, inference_plans, support_set_plans
from exemplar.adding_plan import AddOptions
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
from exemplar.channel import connection
from exemplar.client_lifecycle import LifecycleMethods
from exemplar.client_maps import MapMethods
from exemplar.client_transfers import TransferMethods
from exemplar.client_upgrades import UpgradeMethods
from exemplar.embedding import Embedding
from exemplar.evaluation import EvaluateOptions, Evaluation
from exemplar.images import Image, ImageFile, Labelled
from exemplar.inference_plans import ClassifyOptions
from exemplar.memory import Memory, known_limits, server_info
from exemplar.stream import ClassifyStream, Request
from exemplar.sync_driver import SyncDriver
from exemplar.v1 import support_set_pb2


class Client(TransferMethods, MapMethods, LifecycleMethods, UpgradeMethods):
    """A connection to one Exemplar server, or to all that its name resolves to.

    Any thread may use it, several at once. Calls are retried while the server is unavailable or
    overloaded; changes carry a request_id, so that a retry changes nothing twice. Every method
    raises ExemplarError (see exemplar.errors); an image that cannot be used costs only itself: its
    place in the result has an `error`.

    Args:
        target: host:port, or any gRPC name such as dns:///exemplar.prod:50051.
        tenant: only for servers without credentials, which listen on loopback.
        api_key: sent with every call; needs TLS unless the target is loopback.
        root_certificates: PEM bytes or the path of a PEM file; turns TLS on.
        tls: TLS with the system's root certificates.
        timeout_seconds: of each request; a job of many requests may take longer.
    """

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
        self._driver = SyncDriver(
            connection(target, tenant, api_key, root_certificates, tls), timeout_seconds
        )
        self._memory = Memory()

    def close(self) -> None:
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def wait_until_ready(self, timeout_seconds: float = 60.0) -> ServerInfo:
        """Returns once the server answers; raises DeadlineExceededError or UnavailableError."""
        return self._driver.run(inference_plans.wait_until_ready(self._memory, timeout_seconds))

    def get_server_info(self) -> ServerInfo:
        return self._driver.run(server_info(self._memory))

    def list_backbones(self) -> list[Backbone]:
        """The default backbone comes first."""
        return self._driver.run(inference_plans.list_backbones())

    def create_support_set(
        self,
        name: str,
        *,
        backbone: str = "",
        keep_images: bool = True,
        request_id: str | None = None,
    ) -> SupportSet:
        """An empty backbone means the server's default one."""
        return self._driver.run(
            support_set_plans.create_support_set(
                self._memory, name, backbone, keep_images, request_id
            )
        )

    def get_support_set(self, name: str, *, min_revision: int | None = None) -> SupportSet:
        """`min_revision`: default (None) the highest that this client has seen."""
        return self._driver.run(support_set_plans.get_support_set(self._memory, name, min_revision))

    def list_support_sets(self, *, page_size: int = 0) -> Iterator[SupportSet]:
        """By name, without their labels. Pages are fetched as the iterator gets to them."""
        return self._driver.pages(partial(support_set_plans.list_support_sets_page, page_size))

    def delete_support_set(
        self, name: str, *, expected_revision: int | None = None, request_id: str | None = None
    ) -> DeleteResult:
        return self._driver.run(
            support_set_plans.delete_support_set(self._memory, name, expected_revision, request_id)
        )

    def add_exemplars(
        self,
        support_set: str,
        exemplars: Iterable[Labelled],
        *,
        all_or_nothing: bool = False,
        expected_revision: int | None = None,
        request_id: str | None = None,
        progress: bool = False,
    ) -> AddResult:
        """Adds (label, image) pairs or NewExemplar objects, request after request.

        Args:
            support_set: its name.
            exemplars: any number; files are read as their turn comes.
            all_or_nothing: refuse all when one cannot be used; only what fits one request.
            expected_revision: raise AbortedError unless the support set has this revision.
            request_id: the one of an earlier try of the same call; default (None) a new one.
            progress: whether to draw a progress bar on a terminal.
        """
        options = AddOptions(all_or_nothing, expected_revision, request_id, progress)
        return self._driver.run(
            adding_plan.add_exemplars(self._memory, support_set, exemplars, options)
        )

    def remove_exemplars(
        self,
        support_set: str,
        exemplar_ids: Iterable[str],
        *,
        expected_revision: int | None = None,
        request_id: str | None = None,
    ) -> RemoveResult:
        return self._driver.run(
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
    ) -> Iterator[Exemplar]:
        """By id. Pages are fetched as the iterator gets to them."""
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

    def embed(
        self, images: Iterable[ImageFile], *, backbone: str = "", progress: bool = False
    ) -> list[Embedding]:
        """One embedding an image, in order; `.error` is set where there is none."""
        return self._driver.run(inference_plans.embed(self._memory, images, backbone, progress))

    def classify(
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
        """One answer a query, in order; `.error` is set where there is none.

        Args:
            support_set: its name.
            queries: any number; files are read as their turn comes.
            k: how many neighbors vote and are returned; default (None) the server's, 5.
            head: "knn", "prototype", "ridge" or "auto"; default (None) the server's, "auto".
            temperature: lower lets the closest dominate; default (None) the server's, 0.07.
            neighbors: whether answers carry their neighbors.
            false_accept_rate: the share of queries of no label that may get one; the others are
                `is_unknown`. Default (None): none is.
            coverage: answers carry the label sets that hold the right label so often.
            exact: whether to find every neighbor, in large support sets, too; see Answer.
            min_revision: answer from this revision or a later one; default (None) the highest
                that this client has seen.
            progress: whether to draw a progress bar on a terminal.
        """
        asked = ClassifyOptions(k, head, temperature, neighbors, false_accept_rate, coverage, exact)
        return self._driver.run(
            inference_plans.classify(
                self._memory,
                support_set,
                queries,
                asked,
                min_revision=min_revision,
                progress=progress,
            )
        )

    def evaluate(
        self,
        support_set: str,
        *,
        head: str | None = None,
        k: int | None = None,
        min_revision: int | None = None,
        thumbnails: bool = False,
        findings: int | None = None,
    ) -> Evaluation:
        """Every exemplar answered by the others: what is wrong with which exemplars and labels.

        Evaluation.save_html shows it.

        Args:
            support_set: its name.
            head: as in `classify`.
            k: as in `classify`.
            min_revision: as in `classify`.
            thumbnails: whether the findings come with images, those that are kept.
            findings: the most of each kind, up to 1000; default (None) the server's, 100.
        """
        options = EvaluateOptions(head, k, thumbnails, findings)
        return self._driver.run(
            evaluation.evaluate(self._memory, support_set, options, min_revision)
        )

    def stream_classify(
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
        images_per_request: int = 1,
        timeout_seconds: float | None = None,
    ) -> Iterator[Answer]:
        """Answers in order, while the queries are still being read, in another thread.

        `images_per_request` above 1 trades delay for speed. The stream may last for ever unless
        `timeout_seconds` says otherwise. See `classify` for the rest.
        """
        asked = ClassifyOptions(k, head, temperature, neighbors, false_accept_rate, coverage, exact)
        limits = self._driver.run(known_limits(self._memory))
        revision = self._memory.wanted_revision(support_set, min_revision)
        stream = ClassifyStream(support_set, asked, limits, revision, images_per_request)
        yield from self._driver.stream(stream, _requests(stream, queries), timeout_seconds)
        if stream.failure:
            raise stream.failure


def _requests(stream: ClassifyStream, queries: Iterable[Image]) -> Iterator[Request]:
    """Runs in grpc's thread, which would log what the caller's iterable raises and hide it."""
    try:
        for image in queries:
            yield from stream.push(image)
    except Exception as failure:  # noqa: BLE001  (the caller's iterable: raised to the caller)
        stream.failure = failure
    yield from stream.finish()
