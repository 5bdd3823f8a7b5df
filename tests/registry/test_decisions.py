"""A decision that was changed, removed or put elsewhere is found; and what stands against it is not served."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.support.small_bundles import Train

from windlass.errors import RegistryError, StorageError
from windlass.registry.decisions import GENESIS_HASH
from windlass.registry.registry import Registry

Tampered = Callable[..., list[str]]


@pytest.fixture
def tampered(registry: Registry, train: Train) -> Tampered:
    """Three versions, four decisions (v1, v2, back to v1, v3 rejected); then SQL, as with the password."""
    for _ in range(3):
        train(registry)
    registry.approve("loan", "v1", actor="bob", reason="first")
    registry.approve("loan", "v2", actor="bob", reason="better")
    registry.rollback("loan", actor="eve", reason="complaints")
    registry.reject("loan", "v3", actor="bob", reason="worse")
    assert registry.verify_decisions("loan") == []

    def run(*statements: str) -> list[str]:
        with registry.database.writing() as connection:
            if not registry.database.is_sqlite:
                raise AssertionError
            connection.execute(text("PRAGMA defer_foreign_keys = ON"))
            for statement in statements:
                assert connection.execute(text(statement)).rowcount, statement
        return registry.verify_decisions()

    return run


def test_the_chain_begins_with_zeros(tampered: Tampered, registry: Registry) -> None:
    assert registry.decisions()[0].previous == GENESIS_HASH == "0" * 64
    assert tampered("UPDATE projects SET updated_at = 1") == []


@pytest.mark.parametrize(
    "change",
    [
        "actor = 'mallory'",
        "reason = ''",
        "decided_at = decided_at + 1",
        "action = 'approve'",
        "number = 2",
    ],
)
def test_a_changed_decision_is_found(tampered: Tampered, change: str) -> None:
    results = tampered(f"UPDATE decisions SET {change} WHERE sequence = 3")
    assert "loan, decision 3 was changed after it was made." in results


@pytest.mark.parametrize("sequence", [1, 2, 3, 4])
def test_a_missing_decision_is_found_also_the_last(tampered: Tampered, sequence: int) -> None:
    assert tampered(f"DELETE FROM decisions WHERE sequence = {sequence}")


def test_a_missing_decision_is_found_where_the_rest_is_numbered_anew(tampered: Tampered) -> None:
    results = tampered(
        "DELETE FROM decisions WHERE sequence = 2",
        "UPDATE decisions SET sequence = 2 WHERE sequence = 3",
        "UPDATE decisions SET sequence = 3 WHERE sequence = 4",
    )
    assert (
        "loan, decision 2 does not follow the one before it, which was changed or removed."
        in results
    )


def test_an_exchanged_order_is_found(tampered: Tampered) -> None:
    results = tampered(
        "UPDATE decisions SET sequence = 9 WHERE sequence = 3",
        "UPDATE decisions SET sequence = 3 WHERE sequence = 4",
        "UPDATE decisions SET sequence = 4 WHERE sequence = 9",
    )
    assert len([fault for fault in results if "was changed after it was made" in fault]) == 2


def test_a_stage_without_a_decision_is_found(tampered: Tampered) -> None:
    results = tampered("UPDATE versions SET stage = 'candidate' WHERE number = 3")
    (fault,) = results
    assert fault.startswith("loan v3 is candidate, but by the decisions it is rejected:")


def test_another_bundle_is_found_and_not_served(tampered: Tampered, registry: Registry) -> None:
    approved = registry.live_versions(["loan"])["loan"]
    assert approved.refusal_reason is None
    results = tampered(f"UPDATE versions SET digest = '{'e' * 64}' WHERE number = 1")
    assert [fault for fault in results if "is about another bundle" in fault]
    live = registry.live_versions(["loan"])["loan"]
    assert live.refusal_reason == f"decision 3 was about another bundle, {approved.digest[:12]}"
    with pytest.raises(RegistryError, match="another bundle than was approved"):
        registry.approved_version("loan", "v1")


def test_production_without_a_decision_is_not_served(
    tampered: Tampered, registry: Registry
) -> None:
    results = tampered(
        "UPDATE versions SET stage = 'archived' WHERE number = 1",
        "UPDATE versions SET stage = 'production' WHERE number = 3",
    )
    assert len(results) == 2
    assert (
        registry.live_versions(["loan"])["loan"].refusal_reason == "decision 3 put v1 in production"
    )
    with pytest.raises(RegistryError, match="v3 was never approved: it is production"):
        registry.approved_version("loan", "v3")


def test_a_forged_decision_is_not_served(tampered: Tampered, registry: Registry) -> None:
    tampered(
        f"UPDATE versions SET digest = '{'e' * 64}' WHERE number = 1",
        f"UPDATE decisions SET digest = '{'e' * 64}' WHERE number = 1",
    )
    assert (
        registry.live_versions(["loan"])["loan"].refusal_reason
        == "decision 3 was changed after it was made"
    )


def test_production_whose_decisions_are_gone_is_not_served(
    tampered: Tampered, registry: Registry
) -> None:
    assert tampered("DELETE FROM decisions")
    assert (
        registry.live_versions(["loan"])["loan"].refusal_reason
        == "no decision put it in production"
    )


def test_no_decision_is_trusted_where_one_was_changed(
    tampered: Tampered, registry: Registry
) -> None:
    assert [version.name for version in registry.servable_versions("loan")] == ["v2", "v1"]
    tampered("UPDATE decisions SET action = 'approve' WHERE number = 3")
    for name in ("v1", "v3"):
        with pytest.raises(RegistryError, match=r"decision 4 was changed .*restored from a backup"):
            registry.approved_version("loan", name)
    assert registry.servable_versions("loan") == []
    before = registry.decisions()
    with pytest.raises(RegistryError, match=r"decision 4 was changed"):
        registry.rollback("loan", "v2", actor="bob", reason="a test")
    assert registry.decisions() == before


def test_a_stage_alone_makes_no_rollback(tampered: Tampered, registry: Registry) -> None:
    tampered("UPDATE versions SET stage = 'archived' WHERE number = 3")
    with pytest.raises(RegistryError, match=r"v3 is archived, but by the decisions it is rejected"):
        registry.rollback("loan", "v3", actor="bob", reason="a test")
    assert registry.live_versions(["loan"])["loan"].name == "v1"


@pytest.mark.parametrize("act", ["approve", "reject", "rollback", "rollback to v2"])
def test_a_new_decision_does_not_hide_a_removed_one(
    tampered: Tampered, registry: Registry, train: Train, act: str
) -> None:
    train(registry)
    tampered("DELETE FROM decisions WHERE sequence = 4")
    results = tampered("DELETE FROM decisions WHERE sequence = 3")
    assert len(results) == 3  # v1 in production and v2 archived, v3 rejected: by no decision
    before = registry.versions("loan"), registry.decisions()
    decide = {
        "approve": partial(registry.approve, "loan", "v4"),
        "reject": partial(registry.reject, "loan", "v4"),
        "rollback": partial(registry.rollback, "loan"),
        "rollback to v2": partial(registry.rollback, "loan", "v2"),
    }[act]
    output = r"by the decisions it is .* Nothing is decided about loan until .* backup.* decisions loan --verify"
    with pytest.raises(RegistryError, match=output):
        decide(actor="bob", reason="as if nothing had been")
    assert (registry.versions("loan"), registry.decisions()) == before
    assert registry.verify_decisions("loan") == results


def test_a_missing_version_is_found(tampered: Tampered) -> None:
    results = tampered(
        "DELETE FROM decisions WHERE number = 2", "DELETE FROM versions WHERE number = 2"
    )
    assert "loan v2 is missing." in results


def test_unknown_actions_are_refused(tampered: Tampered) -> None:
    with pytest.raises(StorageError, match="holds the action 'praise', which there is not"):
        tampered("UPDATE decisions SET action = 'praise' WHERE sequence = 3")


def test_only_what_is_or_was_in_production_is_approved(
    registry: Registry, train: Train, tmp_path: Path
) -> None:
    for _ in range(3):
        train(registry)
    registry.approve("loan", "v1", actor="bob", reason="a test")
    registry.approve("loan", "v2", actor="bob", reason="a test")
    assert registry.approved_version("loan", "v1").name == "v1"
    assert registry.approved_version("loan", "v2").name == "v2"
    with pytest.raises(RegistryError, match="v3 was never approved: it is candidate"):
        registry.approved_version("loan", "v3")
