"""The metrics port: probes and metrics over plain HTTP."""

import socket
from contextlib import contextmanager
from http.client import HTTPConnection

import pytest

from exemplar_server.edge.metrics import Metrics, MetricsServer


@contextmanager
def serving(host="127.0.0.1", *, live=True, ready=True):
    server = MetricsServer((host, 0), Metrics(), lambda: live, lambda: ready)
    try:
        yield server.port
    finally:
        server.stop()


def get(port, path, host="127.0.0.1"):
    connection = HTTPConnection(host, port, timeout=30)
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, body


@pytest.mark.parametrize(("healthy", "status"), [(True, 200), (False, 503)])
def test_a_probe_says_what_it_was_asked(healthy, status):
    with serving(live=healthy, ready=healthy) as port:
        assert (get(port, "/livez")[0], get(port, "/readyz")[0]) == (status, status)


def test_metrics_are_shown_as_prometheus_reads_them():
    with serving() as port:
        status, body = get(port, "/metrics")
    assert status == 200
    assert "# TYPE exemplar_call_seconds histogram" in body


def test_a_connection_that_says_nothing_does_not_keep_the_probes_waiting():
    with serving() as port, socket.create_connection(("127.0.0.1", port)):
        assert get(port, "/livez")[0] == 200


def test_an_ipv6_address_stands_in_brackets():
    with serving("[::1]") as port:
        assert get(port, "/livez", "::1")[0] == 200
