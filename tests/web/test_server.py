"""The socket that a server is given: clients may connect once its address is printed."""

import socket
from pathlib import Path

import pytest
from tests.support.child_process import WINDLASS, ChildProcess
from tests.support.server import Connection, environment

from windlass.errors import SettingsError
from windlass.web.server import ListenOptions, bind


def test_a_socket_is_reached_before_anybody_serves_on_it() -> None:
    with bind(ListenOptions(port=0)) as listener:
        Connection.to(listener.getsockname()[1]).close()


def test_an_address_that_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SettingsError, match=f"Cannot listen on 127.0.0.1:{port}"):
            bind(ListenOptions(port=port))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_client_may_connect_once_the_address_is_printed(
    iris: Path, tmp_path: Path, workers: int
) -> None:
    command = [WINDLASS, "serve", iris, "--port", 0, "--workers", workers]
    with ChildProcess(command, env=environment(tmp_path), new_group=True) as server:
        address = server.read_line().split()[2]
        with Connection.to(int(address.rpartition(":")[2])) as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.answer().status == 200
        server.stop()
