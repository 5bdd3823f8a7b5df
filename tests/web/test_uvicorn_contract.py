"""Contract with uvicorn's internals: what connections, uvicorn_loop and server rely on.

Nothing of it is public. These tests drive uvicorn's own classes, so that a new version that moves something fails
here, by name, and not in a connection that hangs.
"""

import asyncio
import contextlib
import inspect

import httptools
import uvicorn
from tests.support.connections import app, started
from uvicorn.server import ServerState
from uvicorn.supervisors import Multiprocess

from windlass.web.http.connections import Connections
from windlass.web.http.uvicorn_loop import DrainingLoop
from windlass.web.request_head import parse_head


def test_the_state_that_connections_share() -> None:
    state = ServerState()
    assert (state.connections, state.tasks, state.default_headers) == (set(), set(), [])
    assert state.total_requests == 0


def test_a_connection_gets_the_application_itself() -> None:
    """Not one that uvicorn has wrapped: batches are answered by methods of ours."""

    async def main() -> None:
        server = await started(app, Connections())
        assert server.config.loaded_app is app
        await server.shutdown()

    asyncio.run(main())


def test_default_headers_are_another_list_every_second() -> None:
    """Connections keep their bytes until then."""

    async def main() -> None:
        server = uvicorn.Server(uvicorn.Config(app, server_header=False, log_config=None))
        server.config.load()
        await server.on_tick(0)
        first = server.server_state.default_headers
        await server.on_tick(1)
        assert server.server_state.default_headers is first
        await server.on_tick(10)
        assert server.server_state.default_headers is not first
        assert [name for name, _ in first] == [b"date"]

    asyncio.run(main())


def test_an_offer_to_upgrade_is_an_exception_after_the_head() -> None:
    parsed = parse_head(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    assert parsed.head.path == "/"
    assert not issubclass(httptools.HttpParserUpgrade, httptools.HttpParserCallbackError)


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
    config = uvicorn.Config("none:app", loop="windlass.web.http.uvicorn_loop:DrainingLoop")
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
