"""Contract with uvicorn's internals: what uvicorn_protocol, uvicorn_loop and server rely on.

Nothing of it is public. These tests drive uvicorn's own classes, so that a new version that moves something fails
here, by name, and not in a connection that hangs.
"""

import asyncio
import contextlib
import inspect
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import httptools
import pytest
import uvicorn
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState
from uvicorn.supervisors import Multiprocess

from windlass.web.uvicorn_loop import DrainingLoop
from windlass.web.uvicorn_protocol import DrainingProtocol

GET = b"GET /a?b=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Transport(asyncio.Transport):
    """Collects what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.reading, self.closed = True, False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class App:
    """An application that waits until it is let, then answers two bytes."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.scopes: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        await self.let.wait()
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})


Check = Callable[[HttpToolsProtocol, Transport, App], Coroutine[Any, Any, None]]


def run(check: Check, state: dict[str, Any] | None = None) -> None:
    """Over a connection of uvicorn's own, made as uvicorn's server makes it."""

    async def main() -> None:
        app, transport = App(), Transport()
        config = uvicorn.Config(app, http=HttpToolsProtocol, ws="none", log_config=None)
        config.load()
        protocol = HttpToolsProtocol(
            config=config,
            server_state=ServerState(),
            app_state=state or {},
            _loop=asyncio.get_running_loop(),
        )
        protocol.connection_made(transport)
        await check(protocol, transport, app)

    asyncio.run(main())


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("__init__", ["self", "config", "server_state", "app_state", "_loop"]),
        ("connection_made", ["self", "transport"]),
        ("connection_lost", ["self", "exc"]),
        ("data_received", ["self", "data"]),
        ("shutdown", ["self"]),
        ("on_message_begin", ["self"]),
        ("on_url", ["self", "url"]),
        ("on_header", ["self", "name", "value"]),
        ("on_headers_complete", ["self"]),
        ("on_response_complete", ["self"]),
        ("send_400_response", ["self", "msg"]),
        ("_start_asgi_task", ["self", "cycle", "app"]),
    ],
)
def test_the_methods_of_a_connection(name: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(HttpToolsProtocol, name)).parameters) == parameters


def test_uvicorn_has_no_parser_callback_that_we_do_not_know() -> None:
    """A new one may read what ours does not collect."""
    callbacks = {name for name in vars(HttpToolsProtocol) if name.startswith("on_")}
    assert callbacks == {
        "on_message_begin", "on_url", "on_header", "on_headers_complete", "on_body", "on_message_complete",
        "on_response_complete",
    }  # fmt: skip


def test_the_state_of_a_new_connection() -> None:
    async def check(protocol: HttpToolsProtocol, transport: Transport, _: App) -> None:
        assert vars(protocol)["cycle"] is None
        assert protocol.transport is transport
        assert protocol.loop is asyncio.get_running_loop()
        assert protocol.app_state == {"key": "value"}
        assert protocol.timeout_keep_alive == 5
        assert protocol.server_state.total_requests == 0
        assert protocol in protocol.server_state.connections
        assert isinstance(protocol.pipeline, deque)
        assert isinstance(protocol.parser, httptools.HttpRequestParser)
        assert (protocol.flow.read_paused, protocol.flow.write_paused) == (False, False)

    run(check, {"key": "value"})


def test_the_state_of_a_request() -> None:
    async def check(protocol: HttpToolsProtocol, transport: Transport, app: App) -> None:
        protocol.data_received(GET)
        await turns()
        cycle, (scope,) = protocol.cycle, app.scopes
        assert cycle.scope is protocol.scope is scope
        assert (scope["method"], scope["path"], scope["query_string"]) == ("GET", "/a", b"b=1")
        assert scope["headers"] is protocol.headers
        assert protocol.url == b"/a?b=1"
        assert cycle.transport is transport
        assert cycle.flow is protocol.flow
        assert (cycle.keep_alive, cycle.disconnected, cycle.more_body) == (True, False, False)
        assert (cycle.response_started, cycle.response_complete) == (False, False)
        assert isinstance(cycle.message_event, asyncio.Event)
        app.let.set()
        await turns()
        assert (cycle.response_started, cycle.response_complete) == (True, True)
        assert protocol.server_state.total_requests == 1
        assert transport.written == [STATUS_LINE[200] + b"content-length: 2\r\n\r\n", b"ok"]

    run(check)


def test_the_application_starts_in_a_later_turn_than_the_headers() -> None:
    """Extensions and `draining` are set between the two."""

    async def check(protocol: HttpToolsProtocol, _: Transport, app: App) -> None:
        protocol.data_received(GET)
        assert app.scopes == []
        protocol.scope["extensions"] = {"added": {}}
        await turns()
        assert app.scopes[0]["extensions"] == {"added": {}}
        app.let.set()
        await turns()

    run(check)


def test_default_headers_are_read_as_a_request_starts() -> None:
    async def check(protocol: HttpToolsProtocol, _: Transport, app: App) -> None:
        protocol.server_state.default_headers = [(b"date", b"today")]
        protocol.data_received(GET)
        assert protocol.cycle.default_headers == [(b"date", b"today")]
        app.let.set()
        await turns()

    run(check)


def test_the_end_of_a_response_calls_on_response_complete_once() -> None:
    async def check(protocol: HttpToolsProtocol, _: Transport, app: App) -> None:
        protocol.data_received(GET)
        cycle = protocol.cycle
        assert cycle.on_response == protocol.on_response_complete
        app.let.set()
        await turns()
        cycle.on_response()  # is another by now
        assert protocol.server_state.total_requests == 1

    run(check)


def test_a_request_whose_end_was_marked_before_is_not_answered_again() -> None:
    """As the extension does that sends a response whole."""

    async def check(protocol: HttpToolsProtocol, transport: Transport, app: App) -> None:
        async def answered(scope: Any, *_: Any) -> None:
            app.scopes.append(scope)

        protocol.app = answered
        protocol.data_received(GET)
        protocol.cycle.response_started = protocol.cycle.response_complete = True
        await turns()
        assert len(app.scopes) == 1
        assert transport.written == []
        assert (await protocol.cycle.receive())["type"] == "http.disconnect"

    run(check)


def test_a_pipeline_waits_and_pauses_reading() -> None:
    async def check(protocol: HttpToolsProtocol, transport: Transport, app: App) -> None:
        protocol.data_received(GET)
        first = protocol.cycle
        protocol.data_received(GET)
        second = protocol.cycle
        assert second is not first
        assert [cycle for cycle, _ in protocol.pipeline] == [second]
        assert callable(protocol.pipeline[0][1])
        assert (transport.reading, protocol.flow.read_paused) == (False, True)
        app.let.set()
        await turns()
        await turns()
        assert (transport.reading, len(protocol.pipeline)) == (True, 0)
        assert second.response_complete

    run(check)


def test_flow_control_pauses_and_resumes() -> None:
    async def check(protocol: HttpToolsProtocol, transport: Transport, app: App) -> None:
        protocol.data_received(b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n")
        protocol.data_received(b"x" * (HIGH_WATER_LIMIT + 1))
        assert (transport.reading, protocol.flow.read_paused) == (False, True)
        protocol.flow.resume_reading()
        assert (transport.reading, protocol.flow.read_paused) == (True, False)
        protocol.pause_writing()
        assert vars(protocol.flow)["write_paused"] is True
        protocol.resume_writing()
        assert vars(protocol.flow)["write_paused"] is False
        app.let.set()
        await turns()

    run(check)


def test_a_lost_connection_wakes_its_last_request() -> None:
    async def check(protocol: HttpToolsProtocol, _: Transport, app: App) -> None:
        protocol.data_received(GET)
        protocol.connection_lost(None)
        assert protocol.cycle.disconnected
        assert protocol.cycle.message_event.is_set()
        assert protocol not in protocol.server_state.connections
        app.let.set()
        await turns()

    run(check)


def test_an_expected_continue_is_sent_as_the_body_is_read() -> None:
    async def check(protocol: HttpToolsProtocol, transport: Transport, app: App) -> None:
        protocol.data_received(
            b"POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        assert protocol.expect_100_continue
        assert vars(protocol.cycle)["waiting_for_100_continue"] is True
        reading = asyncio.create_task(protocol.cycle.receive())
        await turns()
        assert transport.written == [b"HTTP/1.1 100 Continue\r\n\r\n"]
        assert vars(protocol.cycle)["waiting_for_100_continue"] is False
        protocol.data_received(b"ok")
        message = await reading
        assert (message["type"], message.get("body")) == ("http.request", b"ok")
        app.let.set()
        await turns()

    run(check)


def test_an_upgrade_offer_is_an_exception_with_the_offset_of_the_rest() -> None:
    class Nothing:
        """A parser's callbacks."""

    parser = httptools.HttpRequestParser(Nothing())
    head = b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    with pytest.raises(httptools.HttpParserUpgrade) as offer:
        parser.feed_data(head + b"rest")
    assert offer.value.args[0] == len(head)
    assert not issubclass(httptools.HttpParserUpgrade, httptools.HttpParserCallbackError)


def test_status_lines_end_with_a_line_break() -> None:
    assert STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n"
    assert set(STATUS_LINE) >= set(range(100, 600))


def test_a_server_makes_connections_by_these_keywords_and_closes_in_this_order() -> None:
    source = inspect.getsource(uvicorn.Server)
    startup = inspect.getsource(uvicorn.Server.startup)
    assert "create_server(create_protocol, sock=sock," in startup
    for keyword in (
        "config=config",
        "server_state=",
        "app_state=self.lifespan.state",
        "_loop=_loop",
    ):
        assert keyword in startup
    shutdown = inspect.getsource(uvicorn.Server.shutdown)
    assert (
        shutdown.index("server.close()")
        < shutdown.index("sock.close()")
        < shutdown.index("connection.shutdown()")
    )
    assert "server.wait_closed()" in source
    assert "signal.raise_signal(captured_signal)" in source  # which serve() has ignored


def test_a_server_runs_on_the_loop_that_is_named() -> None:
    config = uvicorn.Config("none:app", loop="windlass.web.uvicorn_loop:DrainingLoop")
    factory = config.get_loop_factory()
    assert factory is not None
    with contextlib.closing(factory()) as loop:
        assert isinstance(loop, DrainingLoop)


def test_the_methods_of_a_supervisor() -> None:
    for name in (
        "init_processes",
        "keep_subprocess_alive",
        "handle_signals",
        "terminate_all",
        "run",
    ):
        assert list(inspect.signature(getattr(Multiprocess, name)).parameters) == ["self"]
    assert list(inspect.signature(Multiprocess.__init__).parameters)[:3] == [
        "self",
        "config",
        "sockets",
    ]
    assert "self.sockets = sockets" in inspect.getsource(Multiprocess.__init__)
    every_loop = inspect.getsource(Multiprocess.run)
    assert "self.handle_signals()" in every_loop
    assert "self.keep_subprocess_alive()" in every_loop


def test_the_options_that_serve_gives_are_known() -> None:
    options = inspect.signature(uvicorn.Config.__init__).parameters
    assert options.keys() >= {
        "app", "factory", "host", "port", "workers", "loop", "http", "ws", "lifespan", "log_config", "access_log",
        "proxy_headers", "server_header", "date_header", "backlog", "timeout_graceful_shutdown",
        "timeout_keep_alive",
    }  # fmt: skip


def test_our_connection_overrides_only_what_these_tests_name() -> None:
    """Whoever overrides more adds it here."""
    ours = {name for name in vars(DrainingProtocol) if not name.startswith("__")}
    theirs = {name for name in dir(HttpToolsProtocol) if not name.startswith("__")}
    assert ours & theirs == {
        "connection_made", "connection_lost", "data_received", "shutdown", "on_message_begin", "on_url", "on_header",
        "on_headers_complete", "on_response_complete", "send_400_response",
    }  # fmt: skip


def test_what_our_connection_adds_is_no_name_of_uvicorn() -> None:
    async def check(protocol: HttpToolsProtocol, *_: Any) -> None:
        ours = {name for name in vars(DrainingProtocol) if not name.startswith("__")}
        assert not ours & vars(protocol).keys()

    run(check)
    assert httptools_impl.HttpToolsProtocol is HttpToolsProtocol
