"""A home on a read-only file system is served, and says what it cannot do."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.child_process import WINDLASS, Finished, run
from tests.support.control import REASON
from tests.support.registry_home import RegistryHome, altered_copy
from tests.support.server import FLOWER, Server, environment, free_port

MOUNT = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'  # in a namespace of its own
SERVED_ONLY = "A read-only home can be served, but nothing is stored there."
UNSHARE = ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT]


@pytest.fixture
def home(tmp_path: Path, iris: Path) -> Path:
    """A home with a version of Iris in production, and a candidate."""
    registered = RegistryHome(tmp_path / "registered")
    registered.live(iris)
    registered.add(altered_copy(iris, tmp_path / "other"))
    registered.close()
    if not is_possible(registered.home):
        pytest.skip("needs namespaces for mounts")
    return registered.home


def is_possible(folder: Path) -> bool:
    return shutil.which("unshare") is not None and run([*UNSHARE, folder, "true"]).code == 0


def read_only(home: Path, *command: object) -> Finished:
    return run([*UNSHARE, home, WINDLASS, *command], env=environment(home))


def test_a_read_only_home_is_served(
    home: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    port = free_port()
    command = [*UNSHARE, home, WINDLASS, "serve", "iris", "--port", port]
    variables = {"WINDLASS_HOME": str(home), "WINDLASS_LEDGER": "off"}
    server = Server(command, port, tmp_path / "logs", variables)
    request.addfinalizer(server.stop)
    server.wait()
    assert server.client.post("/predict", json=FLOWER).json()["model_version"] == "v1"
    assert server.client.get("/decisions").json()["verified"] is True
    refused = server.client.post("/versions/v2/approve", json=REASON)
    assert refused.status_code == 503, refused.text
    assert server.stop() == 0
    (failure,) = server.lines("storage failed")
    assert SERVED_ONLY in failure["reason"]


def test_a_read_only_home_with_a_ledger_is_refused_in_one_line(home: Path) -> None:
    done = read_only(home, "serve", "iris", "--port", free_port())
    assert done.code == 1
    assert "is read-only: what is in production now is served" in " ".join(done.out.split())
    assert "Cannot keep a ledger" in done.err
    assert "WINDLASS_LEDGER=off" in done.err


def test_commands_read_and_refuse_to_write(home: Path) -> None:
    assert read_only(home, "versions", "iris").code == 0
    done = read_only(home, "reject", "iris", "v2", "--reason", "x")
    assert (done.code, SERVED_ONLY in " ".join(done.err.split())) == (1, True)
    with closing(
        sqlite3.connect(home / "windlass.db")
    ) as writer:  # whose log is not in the file yet
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE later (x)")
        done = read_only(home, "versions", "iris")
    assert done.code == 1
    assert "changes in windlass.db-wal beside it cannot be read" in " ".join(done.err.split())
