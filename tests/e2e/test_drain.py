"""SIGTERM ends a server well: calls in hand are answered, new ones refused, exit code 0."""

import queue
import signal
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from exemplar.channel import channel_options
from exemplar.v1 import classification_pb2 as classification
from exemplar.v1 import map_pb2 as maps
from process_calls import QUERIES, addition, calling, questions, serving
from server_process import PATIENCE_SECONDS, Server

CALLERS = 8
EXEMPLARS = [f"{label}{number}" for label in "ab" for number in range(10)]


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
def served(backbone_dir, store):
    """A server with a support set, and calls of it."""
    with serving(backbone_dir, store) as (server, calls):
        calls.create("set")
        calls.change(addition("set", EXEMPLARS))
        yield server, calls


class Questions:
    """A stream of requests that goes on for as long as the test wants."""

    def __init__(self):
        self._requests = queue.SimpleQueue()

    def ask(self):
        self._requests.put(classification.StreamClassifyRequest(request=questions("set")))

    def end(self):
        self._requests.put(None)

    def __iter__(self):
        return iter(self._requests.get, None)


def conversation(calls):
    """A stream that was answered once: the server has it in hand."""
    asking = Questions()
    answers = calls.classification.StreamClassify(iter(asking), timeout=PATIENCE_SECONDS)
    asking.ask()
    next(answers)
    return asking, answers


def test_a_stream_in_hand_goes_on_while_the_server_drains(served):
    server, calls = served
    asking, answers = conversation(calls)
    server.process.terminate()
    server.event("draining")
    asking.ask()
    assert len(next(answers).response.answers) == QUERIES
    asking.end()
    assert list(answers) == []
    assert server.ended() == 0


def test_a_map_in_work_is_finished(served):
    server, calls = served
    events = calls.maps.ComputeMap(maps.ComputeMapRequest(support_set="set"))
    next(events)
    server.process.terminate()
    *_, last = events
    assert last.summary.point_count == len(EXEMPLARS)
    assert server.ended() == 0


def code_at_the_end(calls, answered):
    """Calls until a call fails; its status. Tells of every answer."""
    while True:
        try:
            calls.describe("set")
        except grpc.RpcError as error:
            return error.code()
        answered.put(None)


def test_callers_with_the_sdks_retries_are_told_that_the_server_is_unavailable(served):
    server, calls = served
    answered = queue.SimpleQueue()
    with calling(calls.address, channel_options()) as busy, ThreadPoolExecutor(CALLERS) as threads:
        codes = [threads.submit(code_at_the_end, busy, answered) for _ in range(CALLERS)]
        for _ in range(10 * CALLERS):
            answered.get(timeout=PATIENCE_SECONDS)
        server.stop()
    assert {code.result() for code in codes} == {grpc.StatusCode.UNAVAILABLE}


def test_a_call_that_does_not_end_holds_the_server_no_longer_than_it_may(backbone_dir, store):
    with serving(backbone_dir, store, EXEMPLAR_DRAIN_SECONDS="0.1") as (server, calls):
        calls.create("set")
        calls.change(addition("set", EXEMPLARS))
        asking, answers = conversation(calls)
        assert server.stop() == 0
        with pytest.raises(grpc.RpcError):
            next(answers)
        asking.end()


def test_control_c_ends_a_server_as_well(served):
    server, _ = served
    server.process.send_signal(signal.SIGINT)
    assert server.ended() == 0


def test_a_stopped_server_leaves_one_file(served, store):
    server, _ = served
    assert server.stop() == 0
    assert [path.name for path in store.parent.iterdir()] == ["store.db"]


def test_a_server_that_is_stopped_while_it_starts_ends_well(backbone_dir, store):
    server = Server(backbone_dir, store)
    try:
        server.event("backbone_ready")
        assert server.stop() == 0
    finally:
        server.kill()
