"""`windlass keys`: made once, listed, revoked; and what `serve` refuses about keys."""

import socket
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.child_process import Finished
from tests.support.cli import run_cli

from windlass.auth.key_store import KeyStore
from windlass.core.project_spec import ProjectSpec
from windlass.registry.registry import Registry
from windlass.settings import Settings
from windlass.storage.database import Database

GOOD = "Zq3vJx9LmT7wRb2NcY5hKd8PfG4sAe6U"


class Run:
    """Runs commands on a home of the test's own."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *arguments: str, **variables: str) -> Finished:
        return run_cli(*arguments, home=self.home, **variables)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_a_key_is_created_listed_and_revoked(run: Run) -> None:
    created = run("keys", "create", "--name", "ci", "--role", "train", "--rate", "600")
    assert created.code == 0
    secret = created.out.strip()
    assert (secret[:3], len(secret)) == ("wl_", 46)  # alone, for KEY=$(windlass keys create …)
    assert secret not in created.err
    (key,) = run("keys", "list", "--json").json()
    made_at = key["created_at"]
    assert 0 <= time.time() - made_at < 600  # seconds since 1970
    assert key == {
        "name": "ci", "role": "train", "rate": 600, "created_at": made_at, "revoked_at": None,
    }  # fmt: skip
    revoked = run("keys", "revoke", "ci")
    assert (revoked.code, revoked.out[:14]) == (0, "ci is revoked.")
    (key,) = run("keys", "list", "--json").json()
    assert key["revoked_at"] >= key["created_at"] == made_at
    listed = run("keys", "list").out
    assert f"{datetime.fromtimestamp(made_at, UTC):%Y-%m-%d %H:%M:%S}" in listed
    assert secret not in listed
    database = Database.open(Settings(home=run.home))
    assert KeyStore(database).active_keys() == {}
    database.close()


def test_an_empty_list_of_keys_says_so(run: Run) -> None:
    assert "windlass keys create" in run("keys", "list").out
    assert run("keys", "list", "--json").json() == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["create", "--name", "policy", "--role", "train"], 1, "cannot be called 'policy'"),
        (["create", "--name", "a b", "--role", "train"], 1, "'a b' cannot name a key"),
        (["create", "--name", "a", "--role", "root"], 2, "'root'"),
        (["create", "--name", "a", "--role", "train", "--rate", "0"], 2, "--rate"),
        (["create", "--name", "a"], 2, "--role"),
        (["revoke", "nobody"], 1, "no key 'nobody'"),
        (["revoke"], 2, "revoke"),
    ],
)
def test_invalid_arguments_are_refused(
    run: Run, arguments: list[str], code: int, message: str
) -> None:
    run("keys", "create", "--name", "somebody", "--role", "train")
    done = run("keys", *arguments)
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert "Traceback" not in done.err


def test_a_database_that_is_away_is_one_line(run: Run) -> None:
    away = "postgresql+psycopg://windlass:hidden-word@127.0.0.1:1/windlass"
    done = run("keys", "list", WINDLASS_DATABASE_URL=away)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "hidden-word" not in done.err


def test_serve_refuses_weak_keys_and_keys_without_authentication(run: Run) -> None:
    weak = run("serve", WINDLASS_AUTH="required", WINDLASS_API_KEYS="ci:predict:secret-word")
    assert (weak.code, "Entry 1 (ci) has a key that is shorter" in weak.err) == (1, True)
    assert "secret-word" not in weak.err
    off = run("serve", WINDLASS_API_KEYS=f"ci:predict:{GOOD}")
    assert (off.code, "WINDLASS_AUTH is off" in off.err) == (1, True)
    assert GOOD not in off.err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com"])
def test_serve_listens_for_other_machines_only_with_keys_or_an_option(run: Run, host: str) -> None:
    """Where it is let through, it goes on to find that there is nothing to serve."""
    nothing = str(run.home / "nothing")
    done = run("serve", nothing, "--host", host)
    assert (done.code, "WINDLASS_AUTH=required" in done.err) == (1, True)
    for let in (
        run("serve", nothing, "--host", host, "--insecure"),
        run("serve", nothing, "--host", host, WINDLASS_AUTH="required"),
        run("serve", nothing),
        run("serve", nothing, AIP_HTTP_PORT="8080"),  # Vertex AI lets in only its own callers
    ):
        assert (let.code, "Anybody" in let.err) == (1, False)


def test_a_platform_is_not_let_in_to_train_and_approve(run: Run) -> None:
    """Its callers send no keys, so it gets bundles by themselves, which have no control plane."""
    registry = Registry.open(Settings(home=run.home))
    registry.declare(ProjectSpec(name="iris", folder=str(run.home)))
    registry.close()
    with socket.socket() as taken:  # so that a server which is let through ends all the same
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        done = run("serve", "iris", AIP_HTTP_PORT=str(taken.getsockname()[1]))
    assert (done.code, "could train and approve versions of 'iris'" in done.err) == (
        1,
        True,
    )
