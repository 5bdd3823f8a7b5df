"""Connections: requests in pieces, in pipelines, with bodies that come late."""

import json

from tests.support.server import FLOWER, OTHER_FLOWER, Server, post

BODY = json.dumps(FLOWER).encode()


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
    for size in (9_999, 10_000, 70_000, 99_999, 100_000, 300_000):
        request = post("/predict_batch", b"[%b]" % (BODY + b" " * (size - len(BODY) - 2)))
        with iris_server.connect() as connection:
            for start in range(0, len(request), 8_000):
                connection.sendall(request[start : start + 8_000])
                assert iris_server.client.get("/health").status_code == 200
            assert connection.answer().status == 200


def test_many_in_one_packet_are_answered_in_order(iris_server: Server) -> None:
    other = json.dumps(OTHER_FLOWER).encode()
    requests = [
        post("/predict", BODY),
        post("/predict", other),
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ]
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


def test_continue_is_said_before_the_body(iris_server: Server) -> None:
    head, _, body = post("/predict", BODY, "Expect: 100-continue").partition(b"\r\n\r\n")
    with iris_server.connect() as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection._head() == b"HTTP/1.1 100 Continue"
        connection.sendall(body)
        assert connection.answer().json()["prediction"] == "setosa"
