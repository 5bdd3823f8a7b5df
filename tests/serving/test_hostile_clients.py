"""Clients that break the rules of HTTP: valid requests are answered, and the server goes on."""

import contextlib
import gzip
import json
import random
import socket
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.server import FLOWER, TIMEOUT, Serve, Server, post

LIMIT = 1 << 20
ROW_LIMIT = 64 << 10
ROW = json.dumps(FLOWER).encode()


@pytest.fixture(scope="module")
def server(session_server: Serve, iris: Any) -> Iterator[Server]:
    """A server that takes bodies of up to a megabyte. It must live, and have seen no fault, at the end."""
    options = ["--allow-host", "models.example.com"]
    variables = {"WINDLASS_MAX_BODY_MB": "1", "WINDLASS_ALLOW_HOST": "proxy.example.com"}
    server = session_server(iris, options=options, **variables)
    yield server
    assert server.client.post("/predict", content=ROW).status_code == 200
    server.client.close()
    server.stop()
    faults = [line for line in server.lines() if line["level"] in ("error", "critical")]
    assert faults == []
    requests = [line for line in server.lines() if line.get("route") not in (None, "/readyz")]
    assert [line for line in requests if line["status"] >= 500] == []


@pytest.fixture(autouse=True)
def lives(server: Server) -> Iterator[None]:
    yield
    assert server.raw(post("/predict", ROW, "Connection: close")).status == 200


def test_requests_for_other_hosts_are_refused(server: Server) -> None:
    statuses = {
        (name, path): server.raw(f"GET {path} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode()).status
        for name in ("evil.example", "models.example.com", "proxy.example.com:443", "localhost")
        for path in ("/livez", "/metrics", "/openapi.json", "/docs", "/v2/models/iris")
    }
    allowed = {name for (name, _), status in statuses.items() if status == 200}
    refused = {name for (name, _), status in statuses.items() if status == 403}
    assert (allowed, refused) == (
        {"models.example.com", "proxy.example.com:443", "localhost"},
        {"evil.example"},
    )


def test_a_declared_length_over_the_limit_is_refused_unread(server: Server) -> None:
    head = post("/predict", b"", "Connection: keep-alive").replace(
        b"Length: 0", b"Length: 99999999999"
    )
    answer = server.raw(head + b'{"sepal')
    assert answer.status == 413
    assert answer.headers["connection"] == "close"
    assert str(ROW_LIMIT) in answer.json()["detail"]


@pytest.mark.parametrize(
    "path", ["/predict", "/predict_batch", "/invocations", "/v1/models/iris:predict"]
)
def test_a_chunked_body_over_the_limit_is_refused_before_its_end(server: Server, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with server.connect() as connection:
        connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        part = (ROW_LIMIT if path == "/predict" else LIMIT) // 4
        chunk = b"%x\r\n%b\r\n" % (part, b" " * part)
        for _ in range(5):
            connection.sendall(chunk)
        answer = connection.answer()  # the body has not ended
    assert answer.status == 413


def test_a_body_over_the_limit_is_refused_though_its_sender_sends_it_whole(server: Server) -> None:
    for _ in range(3):
        answer = server.client.post("/predict", content=b" " * (LIMIT * 16))
        assert answer.status_code == 413


def test_a_body_at_the_limit_is_read(server: Server) -> None:
    for path, row, limit in (
        ("/predict", ROW, ROW_LIMIT),
        ("/predict_batch", b"[%b]" % ROW, LIMIT),
    ):
        body = row + b" " * (limit - len(row))
        assert server.raw(post(path, body)).status == 200
        assert server.raw(post(path, body + b" ")).status == 413


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_an_encoded_body_is_decoded_up_to_the_limit(server: Server, encoding: str) -> None:
    encode = gzip.compress if encoding == "gzip" else zlib.compress
    header = f"Content-Encoding: {encoding}"
    for path, row, limit in (
        ("/predict", ROW, ROW_LIMIT),
        ("/predict_batch", b"[%b]" % ROW, LIMIT),
        ("/v2/models/iris/infer", b"{}", LIMIT),
    ):
        body = row + b" " * (limit - len(row))
        assert server.raw(post(path, encode(body), header)).status == (400 if "v2" in path else 200)
        assert server.raw(post(path, encode(body + b" "), header)).status == 413
        assert server.raw(post(path, body, header)).status == 400


def test_another_encoding_is_refused(server: Server) -> None:
    for path in ("/predict", "/predict_batch", "/invocations", "/v2/models/iris/infer"):
        answer = server.raw(post(path, ROW, "Content-Encoding: br"))
        assert answer.status == 415
        assert answer.headers["accept-encoding"] == "gzip, deflate"
        assert b"gzip, deflate" in answer.body


def test_a_chunked_body_is_read(server: Server) -> None:
    def parts() -> Iterator[bytes]:
        for byte in ROW:
            yield bytes([byte])

    answer = server.client.post("/predict", content=parts())
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "length", ["-1", "x", "1.5", "1e3", "0x10", "", "99999999999999999999999", "5, 6"]
)
def test_a_length_that_is_none(server: Server, length: str) -> None:
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(head.encode() + ROW)
        connection.shutdown(socket.SHUT_WR)
        assert 400 <= connection.answer().status < 500


@pytest.mark.parametrize(
    "request_line",
    [b"POST /predict\r\n\r\n", b"GET\r\n\r\n", b"\r\n\r\nX", b"\x16\x03\x01\x02\x00\x01\x00", b"PRI * HTTP/2.0\r\n\r\n",
     b"GET / HTTP/9.9\r\n\r\n", b"FOO / HTTP/1.1\r\n\r\n", b"GET /\x00 HTTP/1.1\r\n\r\n",
     b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    ids=range(9),
)  # fmt: skip
def test_what_is_no_request(server: Server, request_line: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(request_line)
        connection.shutdown(socket.SHUT_WR)
        content = connection.rest()
    assert content == b"" or content.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(
            post("/predict", ROW, "X-Request-ID: one")
            + post("/nowhere", ROW, "X-Request-ID: two")
            + post("/predict_batch", b"[" + ROW + b"]", "X-Request-ID: three")
            + b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: four\r\n\r\n"
        )
        answers = [connection.answer() for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 404, 200, 200]
    assert [answer.headers["x-request-id"] for answer in answers] == ["one", "two", "three", "four"]


@pytest.mark.parametrize(
    "path", ["/predict", "/predict_batch", "/invocations", "/v2/models/iris/infer"]
)
@pytest.mark.parametrize("reset", [False, True])
def test_a_client_that_hangs_up_in_mid_body(server: Server, path: str, reset: bool) -> None:
    for cut in (0, 1, 40):
        connection = server.connect()
        connection.sendall(post(path, ROW)[: -len(ROW)] + ROW[:cut])
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


def test_a_client_that_hangs_up_before_its_answer(server: Server) -> None:
    for _ in range(20):
        connection = server.connect()
        connection.sendall(post("/predict_batch", b"[" + b",".join([ROW] * 500) + b"]"))
        connection.close()


def test_a_slow_client_does_not_delay_others(server: Server) -> None:
    request = post("/predict", ROW)
    with server.connect() as slow:
        for byte in request[:-1]:
            slow.send(bytes([byte]))
        assert server.raw(post("/predict", ROW)).status == 200
        slow.send(request[-1:])
        assert slow.answer().status == 200


def test_expect_continue(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(post("/predict", ROW, "Expect: 100-continue")[: -len(ROW)])
        assert connection.recv(1024).startswith(b"HTTP/1.1 100")
        connection.sendall(ROW)
        assert connection.answer().status == 200


def test_upgrade_is_not_taken(server: Server) -> None:
    head = (
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert server.raw(head).status < 500


def test_ten_thousand_headers(server: Server) -> None:
    lines = "\r\n".join(f"X-{i}: {i}" for i in range(10_000))
    answer = server.raw(f"GET /health HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n\r\n".encode())
    assert answer.status < 500


@pytest.mark.parametrize(
    "path",
    [
        "/predict",
        "/predict_batch",
        "/invocations",
        "/v1/models/iris:predict",
        "/v2/models/iris/infer",
    ],
)
def test_a_thousand_bodies_of_noise(server: Server, path: str) -> None:
    noise = random.Random(path)
    kinds = [
        "application/json", "text/csv", "application/vnd.apache.arrow.stream",
        "application/vnd.apache.parquet", "application/octet-stream", "multipart/form-data",
    ]  # fmt: skip
    for _ in range(200):
        body = noise.choice([_bytes, _text, _cut])(noise)
        headers = {
            "content-type": noise.choice(kinds),
            "inference-header-content-length": str(noise.randrange(-3, 40)),
            "accept": noise.choice(["*/*", *kinds]),
        }
        answer = server.client.post(path, content=body, headers=headers)
        assert 400 <= answer.status_code < 500, (body, headers, answer.text)


def _bytes(noise: random.Random) -> bytes:
    return noise.randbytes(noise.randrange(400))


def _text(noise: random.Random) -> bytes:
    return "".join(
        noise.choices('{}[]":,0123456789.eE-+ nulltrefas\\u"\n', k=noise.randrange(80))
    ).encode()


def _cut(noise: random.Random) -> bytes:
    """A good body with a piece missing."""
    body = noise.choice([b'{"instances":[%b]}', b"[%b]", b"%b"]) % ROW
    start = noise.randrange(1, len(body))
    return body[: start - 1] + body[start + noise.randrange(20) :] + b"~"


def exchange(server: Server, request: bytes) -> bytes:
    """What the server first answers to raw bytes; nothing where it hangs up on them."""
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(request)
        with contextlib.suppress(ConnectionError):
            answer = connection.recv(1 << 16)
    return answer


@pytest.mark.parametrize("offer", [b"h2c", b"websocket", b"TLS/1.0"])
def test_an_offer_to_upgrade_does_not_lose_the_body(server: Server, offer: bytes) -> None:
    body = json.dumps(FLOWER).encode()
    head = (
        b"POST /predict HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: %b\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
    )
    request = head % (offer, len(body)) + body
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as connection:
        for _ in range(2):  # the connection goes on
            connection.sendall(request)
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")


def test_trailers_are_no_headers(server: Server) -> None:
    body = json.dumps(FLOWER).encode()
    request = (
        b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\ncontent-type: text/x\r\n\r\n"
    )
    assert exchange(server, request % (len(body), body)).startswith(b"HTTP/1.1 200")


def test_a_head_without_end_is_refused(server: Server) -> None:
    line = b"a: " + b"b" * 1000 + b"\r\n"
    answer = exchange(server, b"GET /health HTTP/1.1\r\nhost: localhost\r\n" + line * 200)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert server.client.get("/health").status_code == 200


@pytest.mark.parametrize("accept", ["text/plain;version=1.0.0-rc1", "text/plain;version=1..0"])
def test_an_unknown_version_of_the_metrics_format_is_answered(server: Server, accept: str) -> None:
    assert server.client.get("/metrics", headers={"accept": accept}).status_code == 200
