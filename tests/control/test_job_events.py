"""A job's progress as server-sent events: to clients that listen, that hang up, and while the server stops."""

import signal

from tests.support.control import Control, ManualWorker, open_events, submit_training
from tests.support.server import Server
from tests.support.waiting import wait_for, wait_until

from windlass.control.job_events import MAX_STREAMS
from windlass.registry.registry import Registry


def test_progress_comes_as_it_is_made(server: Server, worker: ManualWorker) -> None:
    name = submit_training(server)
    with open_events(server, name) as events:
        assert events.answer.headers["content-type"].startswith("text/event-stream")
        assert events.answer.headers["transfer-encoding"] == "chunked"
        assert "content-length" not in events.answer.headers
        first = events.next()
        assert first is not None
        assert (first.name, first.data["state"]) == ("progress", "queued")
        assert events.next() is not None
        job = worker.begin()
        assert [event.name for event in (events.next(), events.next()) if event] == [
            "progress",
            "message",
        ]
        worker.report(job, 0.5, "Fitting")
        half, fitting = events.next(), events.next()
        assert half is not None
        assert fitting is not None
        assert half.data["progress"] == 0.5
        assert (fitting.name, fitting.data["message"], half.id) == ("message", "Fitting", "")
        assert fitting.id
        worker.report(job, 0.75, "Fitting")
        more = events.next()
        assert more is not None
        assert (more.name, more.data["progress"]) == ("progress", 0.75)
        worker.succeed(job)
        (done,) = events.rest()
    assert (done.name, done.id) == ("done", "done")
    assert done.data == server.client.get(f"/jobs/{name}").json()
    line = wait_for(
        lambda: next((a for a in server.lines() if a.get("route") == "/jobs/{job}/events"), None),
        "a line of the access log",
    )
    assert line["status"] == 200
    assert line["latency_ms"] > 250  # until its end


def test_a_client_that_comes_again_gets_what_is_new(server: Server, worker: ManualWorker) -> None:
    name = submit_training(server)
    job = worker.begin()
    worker.report(job, 0.5, "Fitting")
    with open_events(server, name) as events:
        events.next()
        last = events.next()
        assert last is not None
    with open_events(server, name, **{"Last-Event-ID": last.id}) as events:
        worker.report(job, 0.6, "Fitting")
        event = events.next()
        assert event is not None
        assert (event.name, event.data["progress"]) == ("progress", 0.6)
        worker.fail(job, "No.")
        assert [event.name for event in events.rest()] == ["done"]
    again = server.client.get(f"/jobs/{name}/events", headers={"Last-Event-ID": "done"})
    assert (again.status_code, again.content) == (204, b"")
    assert "content-length" not in again.headers
    with open_events(server, name) as events:
        assert [event.name for event in events.rest()] == ["done"]


def test_head_opens_no_stream(server: Server, worker: ManualWorker) -> None:
    name = submit_training(server)
    for _ in range(MAX_STREAMS + 1):
        answer = server.client.head(f"/jobs/{name}/events")
        assert (answer.status_code, answer.content) == (200, b"")


def test_streams_are_limited_and_freed_when_clients_go(
    server: Server, worker: ManualWorker
) -> None:
    name = submit_training(server)
    request = f"GET /jobs/{name}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
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

    wait_until(free, "a free stream")
    wait_until(
        lambda: sum(line.get("status") == 499 for line in server.lines()) >= MAX_STREAMS,
        "a line of the access log for each closed connection",
    )


def test_a_client_that_pipelines_is_answered_in_turn(server: Server, worker: ManualWorker) -> None:
    name = submit_training(server)
    with server.connect() as connection:
        connection.sendall(
            f"GET /jobs/{name}/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
            f"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        worker.fail(worker.begin(), "No.")
        reported = connection.rest()
    assert reported.count(b"HTTP/1.1 200") == 2
    assert (
        reported.index(b"event: done")
        < reported.index(b"\r\n0\r\n\r\n")
        < reported.rindex(b"HTTP/1.1 200")
    )


def test_clients_that_pipeline_and_go_leave_no_stream(
    control: Control, registry: Registry, worker: ManualWorker
) -> None:
    """uvicorn reports only to the last request of a pipeline that its client has gone."""
    server = control("iris", HEARTBEAT="3600")  # none finds it out
    name = submit_training(server)
    request = f"GET /jobs/{name}/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
    opened = [server.connect() for _ in range(MAX_STREAMS)]
    for connection in opened:
        connection.sendall(f"{request}GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    for connection in opened:
        connection.close()
    wait_until(
        lambda: server.client.head(f"/jobs/{name}/events").status_code == 200, "a free stream"
    )


def test_a_stopping_server_ends_its_streams(server: Server) -> None:
    with open_events(server, submit_training(server)) as events:
        assert events.next() is not None
        server.signal(signal.SIGTERM)
        assert all(event.name != "done" for event in events.rest())
    assert server.exit_code() == 0
    assert not [line for line in server.lines() if line["level"] in ("error", "warning")]
