"""A server that closes: what waits at its socket by then is answered, and what comes later is refused."""

import asyncio

import pytest
from tests.support.connections import app, started
from tests.support.server import Connection

from windlass.web.http.connections import Connections
from windlass.web.http.uvicorn_loop import DrainingLoop
from windlass.web.server import ListenOptions, bind

MANY = 50
ASK = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def outcomes(clients: list[Connection]) -> list[object]:
    """The status that each gets, and what follows until the connection ends; else what happened to it."""
    results: list[object] = []
    for client in clients:
        with client:
            try:
                results.append((client.answer().status, client.rest()))
            except (OSError, EOFError) as error:
                results.append(repr(error))
    return results


def test_what_waits_as_it_closes_is_answered() -> None:
    async def stop() -> list[object]:
        listener = bind(ListenOptions(port=0))
        port = listener.getsockname()[1]
        server = await started(app, Connections(), listener)
        clients = [Connection.to(port) for _ in range(MANY)]  # the loop has no turn to take them
        for client in clients:
            client.sendall(ASK)
        stopping = asyncio.create_task(server.shutdown(sockets=[listener]))
        await asyncio.sleep(0)
        with pytest.raises(ConnectionRefusedError):
            Connection.to(port)
        results = await asyncio.to_thread(outcomes, clients)
        await stopping
        return results

    with asyncio.Runner(loop_factory=DrainingLoop) as runner:
        assert runner.run(stop()) == [(200, b"")] * MANY


def test_a_client_that_left_before_it_was_accepted_is_no_error() -> None:
    async def stop() -> None:
        listener = bind(ListenOptions(port=0))
        server = await started(app, Connections(), listener)
        for _ in range(MANY):
            Connection.to(listener.getsockname()[1]).close()
        await server.shutdown(sockets=[listener])
        assert server.server_state.connections == set()

    with asyncio.Runner(loop_factory=DrainingLoop) as runner:
        runner.run(stop())
