"""A job's progress as server-sent events: to clients that listen, that hang up, and while the server stops."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from tests.control.conftest import Control, Worker
from tests.control.test_jobs import ordered
from tests.control.test_train import polled
from tests.support.server import Server

from windlass.control.job_events import MAX_STREAMS
from windlass.registry.registry import Registry


@dataclass
class Event:
    """One event, as a browser reads it."""

    name: str = ""
    id: str = ""
    data: Any = None


@dataclass
class Listener:
    """A client of `/jobs/{id}/events`."""

    answer: httpx.Response
    lines: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self.lines = self.answer.iter_lines()

    def next(self) -> Event | None:
        """The next event; None at the end."""
        event = Event()
        for line in self.lines:
            name, _, value = line.partition(": ")
            if not line and event.name:
                return event
            if name == "event":
                event.name = value
            elif name == "id":
                event.id = value
            elif name == "data":
                event.data = json.loads(value)
        return None

    def rest(self) -> list[Event]:
        return list(iter(self.next, None))


@contextmanager
def listening(server: Server, job: str, **headers: str) -> Iterator[Listener]:
    with server.client.stream("GET", f"/jobs/{job}/events", headers=headers) as answer:
        assert answer.status_code == 200
        yield Listener(answer)


def test_progress_comes_as_it_is_made(server: Server, worker: Worker) -> None:
    name = ordered(server)
    with listening(server, name) as listener:
        assert listener.answer.headers["content-type"].startswith("text/event-stream")
        assert listener.answer.headers["transfer-encoding"] == "chunked"
        assert "content-length" not in listener.answer.headers
        first = listener.next()
        assert first is not None
        assert (first.name, first.data["state"]) == ("progress", "queued")
        assert listener.next() is not None
        job = worker.take()
        assert [event.name for event in (listener.next(), listener.next()) if event] == [
            "progress",
            "message",
        ]
        worker.report(job, 0.5, "Fitting")
        half, fitting = listener.next(), listener.next()
        assert half is not None
        assert fitting is not None
        assert half.data["progress"] == 0.5
        assert (fitting.name, fitting.data["message"], half.id) == ("message", "Fitting", "")
        assert fitting.id
        worker.report(job, 0.75, "Fitting")
        more = listener.next()
        assert more is not None
        assert (more.name, more.data["progress"]) == ("progress", 0.75)
        worker.succeed(job)
        (done,) = listener.rest()
    assert (done.name, done.id) == ("done", "done")
    assert done.data == server.client.get(f"/jobs/{name}").json()
    line = polled(
        lambda: [one for one in server.lines() if one.get("route") == "/jobs/{job}/events"]
    )[0]
    assert line["status"] == 200
    assert line["latency_ms"] > 250  # until its end


def test_a_client_that_comes_again_is_told_what_is_new(server: Server, worker: Worker) -> None:
    name = ordered(server)
    job = worker.take()
    worker.report(job, 0.5, "Fitting")
    with listening(server, name) as listener:
        listener.next()
        last = listener.next()
        assert last is not None
    with listening(server, name, **{"Last-Event-ID": last.id}) as listener:
        worker.report(job, 0.6, "Fitting")
        event = listener.next()
        assert event is not None
        assert (event.name, event.data["progress"]) == ("progress", 0.6)
        worker.fail(job, "No.")
        assert [one.name for one in listener.rest()] == ["done"]
    again = server.client.get(f"/jobs/{name}/events", headers={"Last-Event-ID": "done"})
    assert (again.status_code, again.content) == (204, b"")
    assert "content-length" not in again.headers
    with listening(server, name) as listener:
        assert [one.name for one in listener.rest()] == ["done"]


def test_head_opens_no_stream(server: Server, worker: Worker) -> None:
    name = ordered(server)
    for _ in range(MAX_STREAMS + 1):
        answer = server.client.head(f"/jobs/{name}/events")
        assert (answer.status_code, answer.content) == (200, b"")


def test_streams_are_bounded_and_those_of_the_gone_are_free(server: Server, worker: Worker) -> None:
    name = ordered(server)
    request = f"GET /jobs/{name}/events HTTP/1.1\r\nHost: windlass\r\n\r\n".encode()
    opened = [server.connect() for _ in range(MAX_STREAMS)]
    for connection in opened:
        connection.sendall(request)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    refused = server.client.get(f"/jobs/{name}/events")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    for connection in opened:
        connection.close()

    def free() -> bool:
        with server.client.stream("GET", f"/jobs/{name}/events") as answer:
            return answer.status_code == 200

    assert polled(free)
    polled(lambda: sum(one.get("status") == 499 for one in server.lines()) >= MAX_STREAMS)


def test_a_client_that_pipelines_is_answered_in_turn(server: Server, worker: Worker) -> None:
    name = ordered(server)
    with server.connect() as connection:
        connection.sendall(
            f"GET /jobs/{name}/events HTTP/1.1\r\nHost: w\r\n\r\n"
            f"GET /readyz HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n".encode()
        )
        worker.fail(worker.take(), "No.")
        reported = connection.rest()
    assert reported.count(b"HTTP/1.1 200") == 2
    assert (
        reported.index(b"event: done")
        < reported.index(b"\r\n0\r\n\r\n")
        < reported.rindex(b"HTTP/1.1 200")
    )


def test_clients_that_pipeline_and_go_leave_no_stream(
    control: Control, registry: Registry, worker: Worker
) -> None:
    """uvicorn tells the last request of a pipeline only that its client has gone."""
    server = control("iris", HEARTBEAT="3600")  # none finds it out
    name = ordered(server)
    asked = f"GET /jobs/{name}/events HTTP/1.1\r\nHost: w\r\n\r\n"
    opened = [server.connect() for _ in range(MAX_STREAMS)]
    for connection in opened:
        connection.sendall(f"{asked}GET /readyz HTTP/1.1\r\nHost: w\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    for connection in opened:
        connection.close()
    polled(lambda: server.client.head(f"/jobs/{name}/events").status_code == 200)


def test_a_stopping_server_ends_its_streams(server: Server) -> None:
    with listening(server, ordered(server)) as listener:
        assert listener.next() is not None
        server.signal(signal.SIGTERM)
        assert all(event.name != "done" for event in listener.rest())
    assert server.exit_code() == 0
    assert not [one for one in server.lines() if one["level"] in ("error", "warning")]
