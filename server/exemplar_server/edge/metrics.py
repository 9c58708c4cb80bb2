"""Prometheus metrics, and the plain HTTP port that shows them with /livez and /readyz.

Labels are methods, codes, stages and backbones: never a tenant, whose number has no bound.
"""

from __future__ import annotations

import socket
import threading
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from exemplar_server.core.embedder import Timings

# gRFC A66's latency buckets, in seconds, thinned to those that matter here.
SECONDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.065, 0.13, 0.25, 0.5, 1, 2, 5, 10, 30)
JOB_SECONDS = (1, 2, 5, 10, 20, 40, 80, 160, 320, 640)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
# How often the metrics port looks whether it shall stop: socketserver's own 0.5 delays every stop.
POLL_SECONDS = 0.05


class Metrics:
    """Every metric of one server, in a registry of its own. Any thread may use it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.call_seconds = Histogram(
            "exemplar_call_seconds",
            "Time from a call's arrival to its answer.",
            ["method", "code"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.stage_seconds = Histogram(
            "exemplar_stage_seconds",
            "Time of a request in each stage: queue, decode, infer, search.",
            ["stage"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.item_errors = Counter(
            "exemplar_item_errors",
            "Items of batches that got an error, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.micro_batch_images = Histogram(
            "exemplar_micro_batch_images",
            "Images a model run.",
            ["backbone"],
            buckets=BATCHES,
            registry=self.registry,
        )
        self.map_seconds = Histogram(
            "exemplar_map_seconds",
            "Time that a map or a placement held a worker, also where it was cancelled.",
            buckets=JOB_SECONDS,
            registry=self.registry,
        )
        self.info = Gauge(
            "exemplar_info",
            "1, with what is served.",
            ["version", "backbone", "fingerprint", "execution_provider"],
            registry=self.registry,
        )

    def observe(self, timings: Timings, items: Iterable[object]) -> None:
        """Counts one request: where its time went, and which of its items failed."""
        for stage in ("queue", "decode", "infer", "search"):
            milliseconds: float = getattr(timings, f"{stage}_ms")
            if milliseconds:  # 0: the request had no such stage
                self.stage_seconds.labels(stage).observe(milliseconds / 1e3)
        for item in items:
            reason: str = getattr(item, "reason", "")  # errors and failed ItemResults have one
            if reason:
                self.item_errors.labels(reason).inc()

    def watch(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """A gauge that is read when it is scraped."""
        Gauge(name, help_text, registry=self.registry).set_function(read)

    def watch_backbones(
        self, name: str, help_text: str, reads: Mapping[str, Callable[[], float]]
    ) -> None:
        """A gauge of each backbone, by its label, that is read when it is scraped."""
        gauge = Gauge(name, help_text, ["backbone"], registry=self.registry)
        for label, read in reads.items():
            gauge.labels(label).set_function(read)


class MetricsServer:
    """Serves /metrics, /livez and /readyz on a thread of its own until `stop`."""

    def __init__(
        self,
        address: tuple[str, int],
        metrics: Metrics,
        is_live: Callable[[], bool],
        is_ready: Callable[[], bool],
    ) -> None:
        scrape = make_wsgi_app(metrics.registry)
        probes = {"/livez": is_live, "/readyz": is_ready}

        def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            probe = probes.get(environ["PATH_INFO"])
            if probe is None:
                body: Iterable[bytes] = scrape(environ, start)
                return body
            status = "200 OK" if probe() else "503 Service Unavailable"
            start(status, [("Content-Type", "text/plain")])
            return [status.encode()]

        listener = _ListenerV6 if address[0].startswith("[") else _Listener
        host = address[0].strip("[]")
        self._server = make_server(host, address[1], answer, listener, _QuietHandler)
        self.port: int = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_SECONDS,), name="metrics", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Listener(ThreadingMixIn, WSGIServer):
    """A thread a connection: one that says nothing must not keep the probes waiting."""

    daemon_threads = True


class _ListenerV6(_Listener):
    address_family = socket.AF_INET6


class _QuietHandler(WSGIRequestHandler):
    """A scrape every few seconds is not worth a log line."""

    timeout = 30  # seconds that a connection may say nothing

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass
