"""`/predict` in batches: what a request is answered does not depend on the requests that arrive with it."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.server import FLOWER, OTHER_FLOWER, RawAnswer, Serve, Server, comparable, post
from tests.support.trained_bundles import BundleOf

import windlass
from windlass.core.bundle import Bundle
from windlass.errors import LedgerError
from windlass.monitoring.metrics import ServerMetrics
from windlass.monitoring.shared_counters import SharedCounters
from windlass.serving.model import ServedModel
from windlass.serving.predict_together import BodyRows, PredictTogether
from windlass.serving.served_project import ServedProject
from windlass.web.messages import Request, Response
from windlass.web.offload import DaemonExecutor
from windlass.web.problems import Problem
from windlass.web.request_head import RequestHead

ROW = json.dumps(FLOWER).encode()
KEY = "wl_GpZ0bD4d3vQ1m7tYxk9sRuWc2hJfEaLnVoBiTqK5g8M"
OTHER_KEY = "wl_Zt7rWq2LxMvB9cKd4hGyPf1sNaEoUj6iRb3Xk8T5mQw"

REQUESTS: dict[str, tuple[bytes, list[str]]] = {
    "valid": (ROW, []),
    "another": (json.dumps(OTHER_FLOWER).encode(), []),
    "spaces": (b" \n" + ROW + b" ", []),
    "its own id": (ROW, ["X-Request-ID: mine"]),
    "an id that is not sane": (ROW, ["X-Request-ID: <x>"]),
    "a parameter of the type": (ROW, ["Content-Type: application/json; charset=utf-8"]),
    "no type": (ROW, ["Content-Type:"]),
    "another type": (ROW, ["Content-Type: text/csv"]),
    "no JSON": (b"{", []),
    "nothing": (b"", []),
    "an array": (b"[" + ROW + b"]", []),
    "a missing field": (b"{}", []),
    "an unknown field": (json.dumps(FLOWER | {"x": 1}).encode(), []),
    "text for a number": (json.dumps(FLOWER | {"petal_width": "1"}).encode(), []),
    "out of range": (json.dumps(FLOWER | {"petal_width": -1}).encode(), []),
    "infinite": (ROW.replace(b"5.1", b"1e999"), []),
    "too large": (ROW + b" " * 70_000, []),
    "connection: close": (ROW, ["Connection: close"]),
    "accept": (ROW, ["Accept: text/csv"]),
    "gzip": (ROW, ["Content-Encoding: gzip"]),
    "an encoding": (ROW, ["Content-Encoding: br"]),
}
KEYS: dict[str, list[str]] = {
    "a key": [f"X-API-Key: {KEY}"],
    "a bearer": [f"Authorization: Bearer {KEY}"],
    "no key": [],
    "a wrong key": [f"X-API-Key: {KEY[:-1]}x"],
    "two keys": [f"X-API-Key: {KEY}", f"Authorization: Bearer {OTHER_KEY}"],
    "too long": ["X-API-Key: " + "x" * 600],
    "no requests left": [f"X-API-Key: {OTHER_KEY}"],
}


@pytest.fixture(scope="module")
def guarded(session_server: Serve, iris: Path) -> Any:
    """A server with keys, one of which has used up its rate."""
    keys = f"one:predict:{KEY},two:predict:{OTHER_KEY}"
    server = session_server(
        iris, WINDLASS_AUTH="required", WINDLASS_API_KEYS=keys, WINDLASS_RATE_LIMIT="60"
    )
    for _ in range(61):
        server.raw(post("/predict", ROW, f"X-API-Key: {OTHER_KEY}"))
    yield server
    server.stop()


def ask(server: Server, path: str, body: bytes, headers: list[str]) -> RawAnswer:
    return server.raw(post(path, body, *headers))


@pytest.mark.parametrize("name", REQUESTS)
def test_a_batch_answers_as_the_handler_does(iris_server: Server, name: str) -> None:
    """A request with a query is answered by the handler."""
    body, headers = REQUESTS[name]
    together = comparable(ask(iris_server, "/predict", body, headers))
    alone = comparable(ask(iris_server, "/predict?&", body, headers))
    assert together == alone


@pytest.mark.parametrize("name", KEYS)
def test_keys_and_rates_hold_in_a_batch(guarded: Server, name: str) -> None:
    together = comparable(ask(guarded, "/predict", ROW, KEYS[name]))
    alone = comparable(ask(guarded, "/predict?&", ROW, KEYS[name]))
    assert together == alone
    assert together[0] == (200 if name in ("a key", "a bearer") else together[0])


def test_one_batch_of_all_kinds(serve: Serve, iris: Path) -> None:
    """Sent at once over many connections; each gets its own answer, and the ledger has what was answered."""
    server: Server = serve(iris)
    kinds = [kind for kind in REQUESTS.items() if kind[0] != "too large"] * 5
    requests = [post("/predict", body, *headers) for _, (body, headers) in kinds]
    connections = [server.connect() for _ in requests]
    for connection, request in zip(connections, requests, strict=True):
        connection.sendall(request)
    answers = [connection.answer() for connection in connections]
    for connection in connections:
        connection.close()
    alone = [comparable(ask(server, "/predict?&", body, headers)) for _, (body, headers) in kinds]
    assert [comparable(answer) for answer in answers] == alone
    ids = [answer.json()["prediction_id"] for answer in answers if answer.status == 200]
    stored = windlass.read_ledger("iris", server.home)["prediction_id"].to_pylist()
    assert len(ids) == len(set(ids))
    assert set(ids) <= set(stored)
    logged = [line for line in server.lines("request") if line["route"] == "/predict"]
    assert len({line["request_id"] for line in logged}) >= len(ids)


class OneAtATime:
    """A ledger that notes each write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.is_full = False

    def append(self, record: bytes) -> None:
        if self.is_full:
            raise LedgerError("full")
        self.writes.append(record)


def together(bundle: Path) -> tuple[PredictTogether, OneAtATime]:
    """The batch handler of a bundle, with a ledger that is a list."""
    ledger: Any = OneAtATime()
    project = ServedProject("any", ledger, ServerMetrics(SharedCounters()))
    project.switch(ServedModel(Bundle.open(bundle), DaemonExecutor("model")), 0.0)
    return PredictTogether(project, BodyRows()), ledger


def whole(body: bytes) -> Request:
    """A request of JSON, whose body is whole."""
    headers = [(b"content-type", b"application/json")]
    request = Request(RequestHead("POST", "/predict", b"", headers), "id", 1 << 20)
    request.whole = body
    return request


@pytest.mark.parametrize("name", ["iris", "mixed"])
def test_rows_of_a_batch_get_the_answers_that_they_get_alone(
    bundle_of: BundleOf, name: str
) -> None:
    """To the last digit; and the ledger gets them in one write."""
    bundle = bundle_of(name)
    handler, ledger = together(bundle)
    rows = [orjson.dumps(row) for row in Bundle.open(bundle).json("golden.json")["rows"][:60]]
    answers = handler.answer([whole(row) for row in rows])
    alone = [handler.answer([whole(row)])[0] for row in rows]
    assert [_without_time(answer) for answer in answers] == list(map(_without_time, alone))
    assert [write.count(b"\n") for write in ledger.writes] == [len(rows), *[1] * len(rows)]


def _without_time(answer: Response | Exception) -> dict[str, Any]:
    assert isinstance(answer, Response)
    body: dict[str, Any] = orjson.loads(answer.body)
    return body | {"latency_ms": 0}


def test_where_the_ledger_fails_nothing_of_a_batch_is_answered(iris: Path) -> None:
    handler, ledger = together(iris)
    ledger.is_full = True
    first, second, third = handler.answer([whole(ROW), whole(b"{"), whole(ROW)])
    assert isinstance(first, LedgerError)
    assert isinstance(third, LedgerError)
    assert isinstance(second, Problem)
    assert second.status == 400
    assert ledger.writes == []


def test_a_request_that_is_refused_refers_to_no_frame(iris: Path) -> None:
    handler, _ = together(iris)
    for body in (b"{}", b"x", b" " * (1 << 17)):
        (outcome,) = handler.answer([whole(body)])
        assert isinstance(outcome, Problem)
        assert outcome.__traceback__ is None
