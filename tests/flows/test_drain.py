"""A stop under load: every request that a server took is answered whole, and it ends well, in time."""

import json
import signal
import socket
import threading
import time
from functools import partial

import pytest
from tests.support.load_clients import Load
from tests.support.server import FLOWER, TIMEOUT, Connection, Serve, Server, post
from tests.support.waiting import wait_until

from windlass.web.http.connection_limits import ConnectionLimits

ROW = json.dumps(FLOWER).encode()
GRACE = 2 * TIMEOUT  # seconds: nobody waits for its end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_taken_is_lost(
    serve: Serve, iris: object, workers: int, number: signal.Signals
) -> None:
    server: Server = serve(iris, options=["--workers", str(workers), "--grace", f"{GRACE:.0f}"])
    with Load(server.port, clients=16) as load, server.connect() as slow, server.connect() as idle:
        slow.sendall(post("/predict", ROW)[:-10])  # taken, and not whole yet
        idle.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle.answer().status == 200
        many = b"[" + b",".join([ROW] * 50_000) + b"]"
        large = server.connect()
        large.sendall(post("/predict_batch", many))
        server.signal(number)
        wait_until(partial(_takes_none, server), "nothing new is taken")
        slow.sendall(ROW[-10:])
        answer = slow.answer()
        assert answer.status == 200
        assert answer.headers["connection"] == "close"
        assert slow.rest() == b""
        with large:
            answer = large.answer()
        assert answer.status == 200
        assert len(answer.json()["predictions"]) == 50_000
        assert server.exit_code() == 0
        assert idle.rest() == b""
    assert load.result.failures == []
    assert set(load.result.statuses) == {200}
    assert len(load.result.ids) > 16


def _takes_none(server: Server) -> bool:
    try:
        Connection.to(server.port).close()
    except OSError:
        return True
    return False


@pytest.mark.parametrize("workers", [1, 2])
def test_pending_connections_are_accepted(serve: Serve, iris: object, workers: int) -> None:
    """Whoever was taken when the stop came is answered, though he asked only after it."""
    for _ in range(20):
        server: Server = serve(iris, options=["--workers", str(workers)])
        waiting = [server.connect() for _ in range(50)]
        with server.connect() as last:  # is taken after all of them
            last.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert last.answer().status == 200
        started = time.monotonic()
        server.signal(signal.SIGTERM)
        for connection in waiting:
            connection.sendall(post("/predict", ROW))
        if (
            time.monotonic() - started < ConnectionLimits.idle_drain / 2
        ):  # else this machine was busy elsewhere
            break
        for connection in waiting:
            connection.close()
    else:
        pytest.skip("This machine is too busy to send fifty requests in a quarter of a second.")
    statuses = []
    for connection in waiting:
        with connection:
            statuses.append(connection.answer().status)
    assert statuses == [200] * 50
    assert server.exit_code() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_connected_client_is_answered(serve: Serve, iris: object, workers: int) -> None:
    """Also where every request comes on a connection of its own: some always wait to be taken."""
    for _ in range(3):  # a connection that came between the last look and the closing is lost
        server: Server = serve(iris, options=["--workers", str(workers)])
        result: list[object] = []
        clients = [threading.Thread(target=_ask_anew, args=(server, result)) for _ in range(16)]
        for client in clients:
            client.start()
        wait_until(partial(_are_more, result), "answers")
        server.signal(signal.SIGTERM)
        for client in clients:
            client.join()
        assert server.exit_code() == 0
        if set(result) == {200}:
            break
    assert set(result) == {200}


def _are_more(result: list[object]) -> bool:
    return len(result) > 500


def _ask_anew(server: Server, result: list[object]) -> None:
    """Note what becomes of each request, until no connection can be had any more."""
    while True:
        try:
            connection = server.connect()
        except OSError:
            return
        with connection:
            try:
                connection.sendall(post("/predict", ROW, "Connection: close"))
                result.append(connection.answer().status)
            except (OSError, EOFError) as error:
                result.append(repr(error))


def test_a_client_that_never_ends_does_not_hold_up_the_stop(serve: Serve, iris: object) -> None:
    server: Server = serve(iris, options=["--grace", "1"])
    with server.connect() as endless:
        endless.sendall(post("/predict", ROW)[:-1])
        assert server.client.get("/health").status_code == 200
        server.signal(signal.SIGTERM)
        assert server.exit_code() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_reaches_every_process(serve: Serve, iris: object, workers: int) -> None:
    server: Server = serve(iris, options=["--workers", str(workers)])
    with Load(server.port) as load:
        server.signal_all(signal.SIGINT)
        assert server.exit_code() == 0
    assert load.result.failures == []
    assert [line for line in server.lines() if line["level"] in ("error", "critical")] == []


def test_ctrl_c_ends_workers_that_still_start(serve: Serve, iris: object) -> None:
    """A worker that is loading ends without a word, as one that serves does."""
    server: Server = serve(iris, options=["--workers", "3"], ready=False)
    wait_until(lambda: len(server.children("spawn_main")) == 3, "three workers")
    server.signal_all(signal.SIGINT)
    assert server.exit_code() == 0
    assert [line for line in server.lines() if line["level"] in ("error", "critical")] == []


def test_a_second_server_takes_over_the_port(serve: Serve, iris: object) -> None:
    server: Server = serve(iris)
    server.signal(signal.SIGTERM)
    assert server.exit_code() == 0
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", server.port))
