"""`/predict` in batches: what a request is answered does not depend on the requests that arrive with it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.server import FLOWER, LOAN, OTHER_FLOWER, RawAnswer, Serve, Server, post
from tests.support.trained_bundles import BundleOf

import windlass

ROW = json.dumps(FLOWER).encode()
VARYING = {"date", "x-request-id", "server-timing", "content-length", "ratelimit"}
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


def same(answer: RawAnswer) -> tuple[int, dict[str, str], str]:
    """What does not differ between two answers to the same request."""
    headers = {name: value for name, value in answer.headers.items() if name not in VARYING}
    varying = set(answer.headers) & VARYING
    if "server-timing" in varying:
        headers["server-timing"] = re.sub(r"[0-9.]+", "0", answer.headers["server-timing"])
    if answer.headers["x-request-id"] == "mine":
        headers["x-request-id"] = "mine"
    body = re.sub(r'("latency_ms":)[0-9.e-]+', r"\1 0", answer.body.decode())
    body = re.sub(r"[0-9a-f]{12}-[0-9a-f]{8}", "id", body)
    return answer.status, headers | dict.fromkeys(varying - headers.keys(), ""), body


def ask(server: Server, path: str, body: bytes, headers: list[str]) -> RawAnswer:
    return server.raw(post(path, body, *headers))


@pytest.mark.parametrize("name", REQUESTS)
def test_a_batch_answers_as_the_handler_does(iris_server: Server, name: str) -> None:
    """A path that ends with a slash is answered by the handler."""
    body, headers = REQUESTS[name]
    together = same(ask(iris_server, "/predict", body, headers))
    alone = same(ask(iris_server, "/predict/", body, headers))
    assert together == alone


@pytest.mark.parametrize("name", KEYS)
def test_keys_and_rates_hold_in_a_batch(guarded: Server, name: str) -> None:
    together = same(ask(guarded, "/predict", ROW, KEYS[name]))
    alone = same(ask(guarded, "/predict/", ROW, KEYS[name]))
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
    alone = [same(ask(server, "/predict/", body, headers)) for _, (body, headers) in kinds]
    assert [same(answer) for answer in answers] == alone
    ids = [answer.json()["prediction_id"] for answer in answers if answer.status == 200]
    stored = windlass.read_ledger("iris", server.home)["prediction_id"].to_pylist()
    assert len(ids) == len(set(ids))
    assert set(ids) <= set(stored)
    counted = server.client.get("/status").json()
    assert counted["project"] == "iris" if "project" in counted else True
    logged = [line for line in server.lines("request") if line["route"] == "/predict"]
    assert len({line["request_id"] for line in logged}) >= len(ids)


@pytest.mark.parametrize("bundle", ["iris", "mixed"])
def test_rows_of_a_batch_get_the_answers_that_they_get_alone(
    serve: Serve, bundle_of: BundleOf, bundle: str
) -> None:
    """To the last digit."""
    path = bundle_of(bundle)
    rows = windlass.Bundle.open(path).json("golden.json")["rows"][:60]
    if bundle == "mixed":
        rows = [*rows, LOAN]
    server: Server = serve(path)
    requests = [post("/predict", json.dumps(row).encode()) for row in rows]
    connections = [server.connect() for _ in requests]
    for connection, request in zip(connections, requests, strict=True):
        connection.sendall(request)
    together = [same(connection.answer()) for connection in connections]
    for connection in connections:
        connection.close()
    alone = [same(ask(server, "/predict/", json.dumps(row).encode(), [])) for row in rows]
    assert together == alone
