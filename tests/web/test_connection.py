"""Connections: requests in pieces, in pipelines, with bodies that come late."""

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from tests.support.connections import serving, sized_service
from tests.support.server import FLOWER, OTHER_FLOWER, TIMEOUT, Connection, Server, post
from tests.support.waiting import wait_until

from windlass.web.http.connection_limits import ConnectionLimits
from windlass.web.http.connections import Connections

BODY = json.dumps(FLOWER).encode()
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_a_body_may_come_late_and_in_pieces(iris_server: Server) -> None:
    request = post("/predict", BODY)
    for cut in (len(request) - len(BODY), len(request) - 10, 20):
        with iris_server.connect() as connection:
            connection.sendall(request[:cut])
            assert iris_server.client.get("/health").status_code == 200  # nobody waits for it
            connection.sendall(request[cut:])
            assert connection.answer().json()["prediction"] == "setosa"
            connection.sendall(request)  # and the connection goes on
            assert connection.answer().status == 200


def test_a_large_body_may_come_in_pieces(iris_server: Server) -> None:
    for size in (9_999, 60_000, 70_000, 300_000):
        rows = b"[%b]" % BODY + b" " * (size - len(BODY))
        request = post("/predict_batch", rows)
        with iris_server.connect() as connection:
            for start in range(0, len(request), 8_000):
                connection.sendall(request[start : start + 8_000])
                assert iris_server.client.get("/health").status_code == 200
            assert connection.answer().status == 200


def test_many_in_one_packet_are_answered_in_order(iris_server: Server) -> None:
    other = json.dumps(OTHER_FLOWER).encode()
    requests = [post("/predict", BODY), post("/predict", other), LIVEZ]
    with iris_server.connect() as connection:
        connection.sendall(b"".join(requests) * 20)
        for _ in range(20):
            assert connection.answer().json()["prediction"] == "setosa"
            assert connection.answer().json()["prediction"] == "virginica"
            assert connection.answer().json() == {"status": "ok"}


def test_a_batch_before_a_row_is_answered_first(iris_server: Server) -> None:
    rows = json.dumps([FLOWER] * 20_000).encode()
    with iris_server.connect() as connection:
        connection.sendall(post("/predict_batch", rows) + post("/predict", BODY))
        assert len(connection.answer().json()["predictions"]) == 20_000
        assert connection.answer().json()["prediction"] == "setosa"


def test_a_client_that_closes_is_answered_and_let_go(iris_server: Server) -> None:
    with iris_server.connect() as connection:
        connection.sendall(post("/predict", BODY, "Connection: close"))
        answer = connection.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert connection.rest() == b""


def test_a_client_that_has_sent_all_may_close_its_side(iris_server: Server) -> None:
    with iris_server.connect() as connection:
        connection.sendall(post("/predict", BODY))
        connection.shutdown(socket.SHUT_WR)
        assert connection.answer().status == 200
        assert connection.rest() == b""


def test_continue_is_said_before_the_body(iris_server: Server) -> None:
    head, _, body = post("/predict", BODY, "Expect: 100-continue").partition(b"\r\n\r\n")
    with iris_server.connect() as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection._head() == b"HTTP/1.1 100 Continue"
        connection.sendall(body)
        assert connection.answer().json()["prediction"] == "setosa"


def test_a_body_that_nobody_reads_does_not_end_the_connection(iris_server: Server) -> None:
    with iris_server.connect() as connection:
        head, _, body = post("/nowhere", b"x" * 1000).partition(b"\r\n\r\n")
        connection.sendall(head + b"\r\n\r\n")
        assert connection.answer().status == 404
        connection.sendall(body + LIVEZ)
        assert connection.answer().json() == {"status": "ok"}


def test_a_pipeline_that_nobody_reads_takes_no_memory(iris_server: Server) -> None:
    before = _resident(iris_server)
    with iris_server.connect() as connection:
        sent = _send_until_blocked(connection, LIVEZ * 500_000)  # 21 MB
        assert sent < 500_000 * len(LIVEZ)
        assert _resident(iris_server) - before < 30 << 20
        assert iris_server.client.get("/livez").status_code == 200
        for _ in range(100):
            assert connection.answer().json() == {"status": "ok"}


def _send_until_blocked(connection: socket.socket, data: bytes) -> int:
    """The bytes that the kernel takes until the other side has read nothing for a while."""
    rest = memoryview(data)
    connection.settimeout(0.5)
    try:
        while rest:
            rest = rest[connection.send(rest[: 1 << 20]) :]
    except TimeoutError:
        pass
    connection.settimeout(TIMEOUT)
    return len(data) - len(rest)


def _resident(server: Server) -> int:
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * 4096


HASTY = ConnectionLimits(
    connections=40, head_seconds=0.3, window=0.3, window_bytes=1000, linger_seconds=0.3, sweep=0.02
)
LIMIT = 1 << 20
HEAD = b"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture(scope="module")
def hasty_port() -> Iterator[int]:
    """A server of few connections and little patience, whose bodies have a megabyte."""
    with serving(sized_service(max_body=LIMIT), Connections(HASTY)) as port:
        yield port


@pytest.fixture
def connection(hasty_port: int) -> Iterator[Connection]:
    with Connection.to(hasty_port) as connection:
        yield connection


@pytest.mark.parametrize("sent", [0, 1, 5000])
def test_a_body_that_stops_is_answered_408(connection: Connection, sent: int) -> None:
    connection.sendall(HEAD % 10_000 + b"x" * sent)
    answer = connection.answer()
    assert (answer.status, answer.headers["connection"]) == (408, "close")
    assert answer.headers["content-type"] == "application/problem+json"
    assert connection.rest() == b""


@pytest.mark.parametrize("length", [b"Content-Length: 10000", b"Transfer-Encoding: chunked"])
def test_a_body_that_trickles_is_answered_408(connection: Connection, length: bytes) -> None:
    head = b"POST /size HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n" % length
    connection.sendall(head)
    sender = threading.Thread(target=_trickle, args=(connection, b"1\r\nx\r\n"))
    sender.start()
    assert connection.answer().status == 408
    connection.close()
    sender.join()


def _trickle(connection: Connection, piece: bytes) -> None:
    try:
        for _ in range(200):
            connection.sendall(piece)
            time.sleep(0.02)  # what is tested is a client that is slow
    except OSError:
        pass


def test_a_slow_body_is_read(connection: Connection) -> None:
    connection.sendall(HEAD % 4000)
    for _ in range(8):
        time.sleep(0.06)  # as above
        connection.sendall(b"x" * 500)
    assert connection.answer().json() == 4000


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_that_stops_is_closed(connection: Connection, sent: bytes) -> None:
    connection.sendall(sent)
    assert connection.rest() == b""


def test_a_second_head_that_stops_is_closed(connection: Connection) -> None:
    connection.sendall(HEAD % 1 + b"xPOST /size")
    assert connection.answer().json() == 1
    assert connection.rest() == b""


def test_a_response_that_is_not_read_is_given_up(hasty_port: int) -> None:
    for path in (b"/large", b"/stream"):
        with Connection.to(hasty_port) as connection:
            connection.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
            connection.recv(1)
            wait_until(lambda connection=connection: _is_reset(connection), "a reset")  # type: ignore[misc]


def _is_reset(connection: Connection) -> bool:
    try:
        connection.send(b"x")
    except ConnectionError:
        return True
    return False


def test_a_large_response_that_is_read_slowly_comes_whole(connection: Connection) -> None:
    connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    connection._head()
    size = 0
    while size < 30 << 20:
        size += len(connection.recv(1 << 20))
        time.sleep(0.005)  # as above
    assert size == 30 << 20


def test_a_stream_to_http_1_0_ends_with_the_connection(connection: Connection) -> None:
    connection.sendall(b"GET /stream HTTP/1.0\r\n\r\n")
    assert b"transfer-encoding" not in connection._head()
    assert len(connection.rest()) == 30 << 20


def test_connections_beyond_the_bound_are_refused() -> None:
    limits = ConnectionLimits(connections=2)
    with serving(sized_service(max_body=LIMIT), Connections(limits)) as port:
        first, second = Connection.to(port), Connection.to(port)
        for connection in (first, second):
            connection.sendall(HEAD % 1 + b"x")
            assert connection.answer().json() == 1
        with Connection.to(port) as third:
            third.sendall(HEAD % 1 + b"x")
            answer = third.answer()
            assert (answer.status, answer.headers["connection"]) == (503, "close")
            assert int(answer.headers["retry-after"]) >= 1
            assert third.rest() == b""
        first.close()
        wait_until(lambda: _status(port) == 200, "a free connection")
        second.close()


def _status(port: int) -> int:
    with Connection.to(port) as connection:
        connection.sendall(HEAD % 1 + b"x")
        return connection.answer().status


def test_stalled_uploads_stay_within_the_budget() -> None:
    with serving(sized_service(max_body=LIMIT), Connections()) as port:
        uploads = [Connection.to(port) for _ in range(30)]
        for upload in uploads:
            upload.sendall(HEAD % LIMIT + b"x" * (LIMIT - 1))
        waiting = [upload for upload in uploads if not _is_refused(upload)]
        assert 1 <= len(waiting) <= 4  # of a megabyte each
        assert _status(port) == 200  # small bodies are not kept out
        for upload in waiting:
            upload.sendall(b"x")
            assert upload.answer().json() == LIMIT
        with Connection.to(port) as later:
            later.sendall(HEAD % LIMIT + b"x" * LIMIT)
            assert later.answer().json() == LIMIT
        for upload in uploads:
            upload.close()


def _is_refused(upload: Connection) -> bool:
    upload.settimeout(0.3)
    try:
        answer = upload.answer()
    except TimeoutError:
        return False
    finally:
        upload.settimeout(TIMEOUT)
    assert (answer.status, answer.headers["connection"]) == (503, "close")
    assert int(answer.headers["retry-after"]) >= 1
    return True


def test_a_client_that_sends_before_it_reads_gets_its_413(hasty_port: int) -> None:
    body = b"x" * (16 * LIMIT)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{hasty_port}/size", body, TIMEOUT)
    assert refused.value.code == 413
    assert json.loads(refused.value.read())["status"] == 413
    client = HTTPConnection("127.0.0.1", hasty_port, timeout=TIMEOUT)
    client.request("POST", "/size", iter([body]))  # in chunks
    assert client.getresponse().status == 413
    client.close()


def test_what_comes_after_a_refusal_is_dropped_for_a_while(hasty_port: int) -> None:
    """Within bounds of time, and of bytes."""
    with Connection.to(hasty_port) as patient:
        patient.sendall(HEAD % (2 * LIMIT))
        assert patient.answer().status == 413
        started = time.monotonic()
        sender = threading.Thread(target=_trickle, args=(patient, b"x"))
        sender.start()
        sender.join()
        assert time.monotonic() - started < TIMEOUT
    limits = ConnectionLimits(linger=4 * LIMIT)
    with (
        serving(sized_service(max_body=LIMIT), Connections(limits)) as port,
        Connection.to(port) as flood,
    ):
        flood.sendall(HEAD % (1 << 40))
        with pytest.raises(ConnectionError):
            _flood(flood)


def _flood(connection: Connection) -> None:
    content = b"x" * LIMIT
    for _ in range(1000):
        connection.sendall(content)


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (b"", 400),
        (b"Host: x\r\nHost: x\r\n", 400),
        (b"Host: x\r\nhost: y\r\n", 400),
        (b"Host: x\r\nTransfer-Encoding: gzip\r\n", 501),
        (b"Host: x\r\nTransfer-Encoding: gzip, chunked\r\n", 501),
        (b"Host: x\r\nTransfer-Encoding: identity\r\n", 501),
        (b"Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
        (b"Host: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n", 400),
        (b"Host: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n", 400),
        (b"Host: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n", 400),
        (b"Host: x\r\nContent-Length: +1\r\n", 400),
        (b"Host: x\r\n Folded: y\r\n", 400),
        (b"Host : x\r\n", 400),
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/livez"])
def test_heads_that_are_refused(iris_server: Server, lines: bytes, status: int, path: str) -> None:
    with iris_server.connect() as connection:
        connection.sendall(b"POST %b HTTP/1.1\r\n%b\r\n" % (path.encode(), lines) + LIVEZ)
        answer = connection.answer()
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["instance"].endswith(answer.headers["x-request-id"])
        assert connection.rest() == b""


def test_http_1_0_needs_no_host(iris_server: Server) -> None:
    answer = iris_server.raw(b"GET /livez HTTP/1.0\r\n\r\n")
    assert answer.headers["connection"] == "close"
    assert answer.status == 200
