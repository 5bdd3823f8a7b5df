"""`windlass approve | reject | rollback | decisions`, over a registry with three versions."""

import os
import pty
import pwd
from pathlib import Path

import pytest
from sqlalchemy import update
from tests.support.child_process import WINDLASS, run
from tests.support.cli import run_cli
from tests.support.cli_registry import register_three_versions
from tests.support.paths import IRIS
from tests.support.server import environment
from tests.support.trained_bundles import BundleOf

from windlass.registry.registry import Registry
from windlass.settings import Settings
from windlass.storage.database import Database
from windlass.storage.db_tables import decisions
from windlass.workflows.project_lookup import current_user


@pytest.fixture(autouse=True)
def home(home_with_versions: Path) -> Path:
    return home_with_versions


def stages() -> dict[str, str]:
    return {item["version"]: item["stage"] for item in run_cli("versions", "iris", "--json").json()}


def test_the_newest_candidate_is_meant_where_none_is_named() -> None:
    ended = run_cli("approve", IRIS, "-m", "good")
    assert ended.code == 1  # v3, whose gates did not pass
    assert "accuracy >= 0.9" in ended.err
    assert (
        run_cli("reject", IRIS, "--reason", "too few right").out
        == "iris v3 is rejected (decision 1).\n"
    )
    assert run_cli("approve", IRIS, "-m", "good").out == "iris v2 is in production (decision 2).\n"
    assert stages() == {"v3": "rejected", "v2": "production", "v1": "candidate"}
    assert run_cli("approve", IRIS, "-m", "good").code == 0  # v1
    ended = run_cli("approve", IRIS, "-m", "again")
    assert "has no candidate. v1 is in production." in ended.err


def test_rollback_returns_and_twice_brings_back() -> None:
    run_cli("approve", "iris", "v1", "-m", "good")
    run_cli("approve", "iris", "v2", "-m", "good")
    assert "v1 is in production again" in run_cli("rollback", "iris", "-m", "slow").out
    assert stages()["v2"] == "archived"
    assert "v2 is in production again" in run_cli("rollback", "iris", "-m", "it was not").out
    assert run_cli("rollback", "iris", "v1", "-m", "by name").code == 0
    assert stages() == {"v3": "candidate", "v2": "archived", "v1": "production"}


def test_illegal_moves_are_refused_in_a_line() -> None:
    for arguments in (
        ("rollback", "iris", "-m", "none before"),
        ("approve", "iris", "v9", "-m", "good"),
    ):
        ended = run_cli(*arguments)
        assert (ended.code, ended.out, len(ended.err.splitlines())) == (1, "", 1)
    run_cli("approve", "iris", "v1", "-m", "good")
    assert run_cli("reject", "iris", "v1", "-m", "too late").code == 1


@pytest.mark.parametrize("command", ["approve", "reject", "rollback"])
def test_every_decision_needs_a_reason(command: str) -> None:
    run_cli("approve", "iris", "v1", "-m", "first")
    ended = run_cli(command, "iris")
    assert (ended.code, ended.out) == (2, "")
    assert "--reason" in ended.err
    for blank in ("", " \n"):
        ended = run_cli(command, "iris", "--reason", blank)
        assert (ended.code, ended.out) == (1, "")
        assert "A decision needs a reason" in ended.err
    assert len(run_cli("decisions", "iris", "--json").json()) == 1


def test_a_terminal_is_prompted_for_the_reason(home: Path) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, b"seen and liked\n")
    ended = run([WINDLASS, "approve", "iris", "v1"], stdin=theirs, env=environment(home))
    os.close(theirs)
    os.close(ours)
    assert (ended.code, ended.err.strip()) == (0, "Why:")
    (output,) = run_cli("decisions", "iris", "--json").json()
    assert output["reason"] == "seen and liked"


def test_decisions_have_an_actor_a_time_and_a_reason_and_are_verified() -> None:
    run_cli("approve", "iris", "v1", "-m", "first")
    run_cli("rollback", "iris", "-m", "refused, so not there")
    (output,) = run_cli("decisions", "iris", "--json").json()
    assert (output["actor"], output["action"], output["version"]) == (
        current_user(),
        "approve",
        "v1",
    )
    assert output["reason"] == "first"
    ended = run_cli("decisions", "--verify")
    assert ended.code == 0
    assert ended.out.endswith(
        "Verified: 1 decision, each as it was made; the stages follow from them.\n"
    )


def test_a_changed_decision_is_found(home: Path) -> None:
    run_cli("approve", "iris", "v1", "-m", "first")
    run_cli("approve", "iris", "v2", "-m", "second")
    database = Database.open(Settings(home=home))
    with database.writing() as connection:
        connection.execute(update(decisions).where(decisions.c.sequence == 1).values(actor="eve"))
    database.close()
    ended = run_cli("decisions", "iris", "--verify")
    assert ended.code == 1
    assert "decision 1" in ended.err
    output = run_cli("decisions", "iris", "--verify", "--json").json()
    assert output["verified"] is False
    assert output["faults"]


def test_an_approval_has_the_name_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "bob")
    run_cli("approve", "iris", "v1", "-m", "first")
    (output,) = run_cli("decisions", "iris", "--json").json()
    assert output["actor"] == pwd.getpwuid(os.getuid()).pw_name != "bob"


def test_the_holder_of_a_key_decides_in_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = run_cli("keys", "create", "--name", "risk-board", "--role", "approve").out.strip()
    assert run_cli("approve", "iris", "v1", "-m", "good", "--key", secret).code == 0
    monkeypatch.setenv("WINDLASS_KEY", secret)
    assert run_cli("approve", "iris", "v2", "-m", "good").code == 0
    assert run_cli("rollback", "iris", "-m", "slow").code == 0
    assert run_cli("reject", "iris", "v3", "-m", "too few right").code == 0
    output = run_cli("decisions", "iris", "--json").json()
    assert {item["actor"] for item in output} == {"risk-board"}
    assert secret not in str(output)


def test_a_key_that_may_not_decide_is_refused_and_never_printed() -> None:
    weak = run_cli("keys", "create", "--name", "ci", "--role", "train").out.strip()
    gone = run_cli("keys", "create", "--name", "old", "--role", "admin").out.strip()
    run_cli("keys", "revoke", "old")
    for key, reason in (
        (weak, "has the role train"),
        (gone, "revoked"),
        ("wl_x", "unknown"),
        ("", "unknown"),
    ):
        ended = run_cli("approve", "iris", "v1", "-m", "good", "--key", key)
        assert (ended.code, ended.out, len(ended.err.splitlines())) == (1, "", 1)
        assert reason in ended.err
        assert not key or key not in ended.err
    assert set(stages().values()) == {"candidate"}


def test_with_four_eyes_the_holder_of_another_key_approves_what_this_user_trained(
    tmp_path: Path, bundle_of: BundleOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINDLASS_HOME", str(tmp_path / "guarded"))
    register_three_versions(tmp_path / "guarded", bundle_of, trained_by=current_user())
    registry = Registry.open(Settings(home=tmp_path / "guarded"))
    registry.declare(registry.declaration("iris").model_copy(update={"four_eyes": True}))
    registry.close()
    assert "four eyes" in run_cli("approve", "iris", "v1", "-m", "good").err
    secret = run_cli("keys", "create", "--name", "risk-board", "--role", "approve").out.strip()
    assert run_cli("approve", "iris", "v1", "-m", "good", "--key", secret).code == 0
    assert [item["actor"] for item in run_cli("decisions", "--json").json()] == ["risk-board"]
