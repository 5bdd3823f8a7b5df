"""Bodies of many megabytes: what they answer, what memory they take, and whether others are answered meanwhile."""

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.support.budget import IS_CI
from tests.support.server import FLOWER, TIMEOUT, Server

MEGABYTE = 1 << 20
SIZE = (60 if IS_CI else 12) * MEGABYTE
ROWS = 20_000
ROW = json.dumps(FLOWER).encode()
VALUES = json.dumps(list(FLOWER.values())).encode()
SERVES_OTHERS = (
    0.2  # seconds of CPU that a server takes at most before it answers /livez; promised are 0.1
)
MAX_GROWTH = 8  # of memory, in multiples of the body


@pytest.fixture
def server(iris_server: Server) -> Server:
    return iris_server


def repeated(unit: bytes, end: bytes = b"") -> bytes:
    return unit * (SIZE // len(unit)) + end


def many_names() -> bytes:
    return b",".join(b'"k%d":1' % number for number in range(SIZE // 12))


def many_columns() -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    schema = pa.schema([(f"c{number}", pa.float64()) for number in range(SIZE // 200)])
    pa.ipc.new_stream(sink, schema).close()
    return bytes(sink.getvalue())


# made by the test that sends them: they are large
HOSTILE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "row of unknown keys": ("/predict_batch", lambda: b"[{%b}]" % many_names()),
    "rows of nothing": ("/predict_batch", lambda: b"[%b" % repeated(b"{},", b"{}]")),
    "numbers": ("/predict_batch", lambda: b"[%b" % repeated(b"1,", b"1]")),
    "strings like rows": ("/predict_batch", lambda: b"[%b" % repeated(b'"},{",', b"1]")),
    "one string": ("/predict_batch", lambda: b'[{"a":"%b' % repeated(b'\\"', b'"}]')),
    "spaces": ("/predict_batch", lambda: b"[%b" % repeated(b" ", b"]")),
    "nesting": ("/predict_batch", lambda: repeated(b"[")),
    "V1 members": ("/v1/models/iris:predict", lambda: b"{%b}" % many_names()),
    "V1 parameters": ("/v1/models/iris:predict", lambda: b'{"parameters":[%b' % repeated(b"1,", b"1]}")),
    "MLflow column": ("/invocations", lambda: b'{"inputs":{"sepal_length":[%b' % repeated(b"1,", b"1]}}")),
    "V2 data": ("/v2/models/iris/infer", lambda: b'{"inputs":[{"data":[%b' % repeated(b"1,", b"1]}]}")),
    "V2 inputs": ("/v2/models/iris/infer", lambda: b'{"inputs":[%b' % repeated(b"{},", b"{}]}")),
    "Arrow columns": ("/predict_batch", many_columns),
    "gzip of spaces": ("/predict_batch", lambda: gzip.compress(repeated(b" "), 1)),
    "CSV line": ("/invocations", lambda: repeated(b"1,")),
    "CSV quotes": ("/invocations", lambda: repeated(b'"\n",')),
    "CSV table line": ("/predict_batch", lambda: repeated(b"1,")),
    "CSV table": ("/predict_batch", lambda: b"%b\n%b" % (",".join(FLOWER).encode(), repeated(b"x,y,z,w\n"))),
}  # fmt: skip


# over the limit of their routes, or below it
HOSTILE_IDS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "names": ("/features", lambda: b"{%b}" % many_names()[: 250 << 10].rpartition(b",")[0]),
    "too many names": ("/features", lambda: b"{%b}" % many_names()),
    "numbers": ("/predict_by_id", lambda: b"[%b1]" % (b"1," * (255 << 10))),
    "too many numbers": ("/predict_by_id", lambda: b"[%b" % repeated(b"1,", b"1]")),
    "lists": ("/predict_by_id", lambda: b'{"ids":[%b[]]}' % (b"[]," * (170 << 10))),
    "nesting": ("/features", lambda: b"[" * (500 << 10)),
    "Feast entities": (
        "/get-online-features",
        lambda: b'{"features":["clients:age"],"entities":{"id":[%b1]}}' % (b"1," * (510 << 10)),
    ),
    "Feast features": (
        "/get-online-features",
        lambda: b'{"features":[%b""],"entities":{"id":[1]}}' % (b'"x",' * (250 << 10)),
    ),
    "Feast names": ("/get-online-features", lambda: b'{"entities":{%b}}' % many_names()),
}


@contextmanager
def others_are_answered(server: Server) -> Iterator[list[float]]:
    """Asks for /livez all the time; yields the CPU seconds that the server took until each answer.

    Not the time of the clock: other processes of this machine do not count.
    """
    seconds: list[float] = []
    clock = ~server.process.pid << 3 | 2  # Linux: the CPU time of another process
    begun, ended = threading.Event(), threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=server.url, timeout=TIMEOUT) as client:
            while not ended.is_set():
                started = time.clock_gettime(clock)
                assert client.get("/livez").status_code == 200
                begun.set()
                seconds.append(time.clock_gettime(clock) - started)

    thread = threading.Thread(target=ask)
    thread.start()
    begun.wait(TIMEOUT)
    try:
        yield seconds
    finally:
        ended.set()
        thread.join()


def peak_memory(server: Server) -> int:
    """The most bytes that the process had at once so far."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return next(
        int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM")
    )


def send(server: Server, path: str, body: bytes, name: str = "") -> httpx.Response:
    kinds = {"CSV": "text/csv", "Arrow": "application/vnd.apache.arrow.stream"}
    headers = {"content-type": kinds.get(name.partition(" ")[0], "application/json")}
    if name.startswith("gzip"):
        headers["content-encoding"] = "gzip"
    return server.client.post(path, content=body, headers=headers)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_is_refused_and_others_are_answered(server: Server, name: str) -> None:
    path, make_body = HOSTILE[name]
    body = make_body()
    before = peak_memory(server)
    with others_are_answered(server) as seconds:
        answer = send(server, path, body, name)
    assert answer.status_code in (400, 413, 422), answer.text
    assert len(answer.content) < 20_000
    assert max(seconds) < SERVES_OTHERS
    assert peak_memory(server) - before < MAX_GROWTH * max(len(body), SIZE)


@pytest.mark.parametrize("name", HOSTILE_IDS)
def test_a_hostile_list_of_ids_is_refused_and_others_are_answered(
    clients_server: Server, name: str
) -> None:
    path, make_body = HOSTILE_IDS[name]
    body = make_body()
    with others_are_answered(clients_server) as seconds:
        answer = send(clients_server, path, body)
    assert answer.status_code in (400, 413, 422), answer.text
    assert len(answer.content) < 20_000
    assert max(seconds) < SERVES_OTHERS


def test_one_large_row_is_not_read(server: Server) -> None:
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {60 * MEGABYTE}\r\n\r\n"
    answer = server.raw(head.encode())
    assert answer.status == 413


SOUND = {
    "rows": ("/predict_batch", b"[%b]" % b",".join([ROW] * ROWS)),
    "V1": ("/v1/models/iris:predict", b'{"instances":[%b]}' % b", ".join([VALUES] * ROWS)),
    "records": ("/invocations", b'{"params":{},"dataframe_records":[%b]}' % b",\n".join([ROW] * ROWS)),
    "split": (
        "/invocations",
        b'{"dataframe_split":{"index":[%b],"data":[%b],"columns":%b}}'
        % (b",".join([b"1"] * ROWS), b",".join([VALUES] * ROWS), json.dumps(list(FLOWER)).encode()),
    ),
    "columns": (
        "/invocations",
        json.dumps({"inputs": {name: [value] * ROWS for name, value in FLOWER.items()}}).encode(),
    ),
    "V2": (
        "/v2/models/iris/infer",
        b'{"inputs":[{"name":"x","datatype":"FP64","data":[%b],"shape":[%d,4]}]}'
        % (b",".join([VALUES] * ROWS), ROWS),
    ),
    "CSV": ("/invocations", b"\n".join([VALUES.strip(b"[]")] * ROWS)),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_every_row_of_a_large_body_is_answered(server: Server, name: str) -> None:
    path, body = SOUND[name]
    with others_are_answered(server) as seconds:
        answer = send(server, path, body, name)
    assert max(seconds) < SERVES_OTHERS
    assert answer.status_code == 200, answer.text
    content = answer.json()
    predictions = content["outputs"][0]["data"] if name == "V2" else content["predictions"]
    assert predictions == ["setosa"] * ROWS


@pytest.mark.parametrize("path", ["/predict_batch", "/v1/models/iris:predict"])
def test_a_fault_in_a_late_row_is_named_by_its_number(server: Server, path: str) -> None:
    rows = b",".join([ROW] * ROWS + [b"{}"])
    body = b"[%b]" % rows if path == "/predict_batch" else b'{"instances":[%b]}' % rows
    answer = send(server, path, body)
    assert answer.status_code == 422
    assert [fault["loc"] for fault in answer.json()["errors"]] == [[ROWS, name] for name in FLOWER]


@pytest.mark.skipif(not IS_CI, reason="half a million rows, in CI only")
def test_more_rows_than_an_answer_has_are_refused(server: Server) -> None:
    body = b'{"instances":[%b]}' % b",".join([b"[1,1,1,1]"] * 500_001)
    assert send(server, "/v1/models/iris:predict", body).status_code == 413
