"""What an approval asks for: the legal move, gates against what is in production now, four eyes, a whole bundle."""

from pathlib import Path

import pytest
from tests.support.small_bundles import LOAN, Train

from windlass.core.bundle import Bundle
from windlass.core.gates import GateResult
from windlass.errors import IntegrityError, RegistryError, StorageError
from windlass.registry import gate_evaluation
from windlass.registry.registry import POLICY_ACTOR, Registry
from windlass.registry.version import Stage

RULE = "accuracy not worse than production"


@pytest.fixture
def baselines(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The digests of the bundles that versions were compared with; a gate passes unless its accuracy is the lower."""
    baseline_digest: list[str | None] = []

    def judge(candidate: Bundle, production: Bundle | None) -> tuple[GateResult, ...]:
        baseline_digest.append(None if production is None else production.digest)
        value = candidate.json("metrics.json")["accuracy"]
        if production is None:
            return (GateResult(RULE, value, passed=True),)
        other = production.json("metrics.json")["accuracy"]
        return (GateResult(RULE, value, passed=value >= other, note=f"against {other}"),)

    monkeypatch.setattr(gate_evaluation, "evaluate_gates", judge)
    return baseline_digest


def test_illegal_moves_are_refused_and_change_nothing(registry: Registry, train: Train) -> None:
    for _ in range(4):
        train(registry)
    registry.approve("loan", "v1", actor="bob", reason="a test")
    registry.approve("loan", "v2", actor="bob", reason="a test")
    registry.reject("loan", "v3", actor="bob", reason="a test")
    before = registry.versions("loan"), registry.decisions()
    for action, name, output in (
        (
            registry.approve,
            "v1",
            "v1 is an archived version, and only a candidate can be approved. .* windlass rollback loan v1 ",
        ),
        (
            registry.approve,
            "v2",
            "v2 is in production, and only a candidate can be approved. .* nothing left to do",
        ),
        (
            registry.approve,
            "v3",
            "v3 is rejected, and only a candidate can be approved. .* train another",
        ),
        (
            registry.reject,
            "v1",
            "v1 is an archived version, and only a candidate can be rejected. .* nothing left",
        ),
        (
            registry.reject,
            "v2",
            "v2 is in production, and only a candidate can be rejected. .* or roll back",
        ),
        (
            registry.rollback,
            "v2",
            "v2 is in production, and only an archived version can be .*: windlass rollback loan --",
        ),
        (
            registry.rollback,
            "v3",
            "v3 is rejected, and only an archived version can be returned to .* train another",
        ),
        (
            registry.rollback,
            "v4",
            "v4 is a candidate, and only an archived .* windlass approve loan v4 ",
        ),
    ):
        with pytest.raises(RegistryError, match=output):
            action("loan", name, actor="bob", reason="a test")
    assert (registry.versions("loan"), registry.decisions()) == before


def test_a_rollback_needs_a_predecessor(registry: Registry, train: Train) -> None:
    with pytest.raises(RegistryError, match="No version of loan was in production yet"):
        registry.rollback("loan", actor="bob", reason="a test")
    train(registry)
    registry.approve("loan", "v1", actor="bob", reason="a test")
    with pytest.raises(RegistryError, match=r"in production before v1\. Approve another"):
        registry.rollback("loan", actor="bob", reason="a test")


def test_a_version_that_failed_a_gate_is_refused(registry: Registry, train: Train) -> None:
    train(registry, accuracy=0.7, least=0.8)
    with pytest.raises(RegistryError, match=r"did not pass its gates: accuracy >= 0\.8 \(0\.7\)"):
        registry.approve("loan", "v1", actor="bob", reason="please")
    assert registry.decisions() == []
    registry.reject("loan", "v1", actor="bob", reason="worse")


def test_four_eyes(registry: Registry, train: Train) -> None:
    registry.declare(LOAN.declared(four_eyes=True))
    train(registry, by="ann")
    with pytest.raises(RegistryError, match=r"trained by ann.* keys create .*--key KEY"):
        registry.approve("loan", "v1", actor="ann", reason="mine")
    registry.approve("loan", "v1", actor="bob", reason="seen")


def test_four_eyes_need_names(registry: Registry, train: Train) -> None:
    registry.declare(LOAN.declared(four_eyes=True))
    train(registry, by="anonymous")
    train(registry, by="ann")
    for name, actor, output in (
        ("v1", "bob", "who trained loan v1.* and train it again with a key"),
        ("v2", "anonymous", "who approved loan v2.* and approve it with a key"),
    ):
        with pytest.raises(RegistryError, match=f"not known {output}"):
            registry.approve("loan", name, actor=actor, reason="a test")
    assert registry.decisions() == []


def test_gates_are_evaluated_again_where_production_changed(
    registry: Registry, train: Train, baselines: list[str | None]
) -> None:
    for accuracy in (0.85, 0.95, 0.9):
        train(registry, accuracy=accuracy)
    assert baselines == [None, None, None]
    first = registry.approve("loan", "v1", actor="bob", reason="a test")
    assert baselines == [None, None, None]  # nothing changed since
    second = registry.approve("loan", "v2", actor="bob", reason="a test")
    with pytest.raises(RegistryError, match=r"not worse than production \(0\.9\), against 0\.95"):
        registry.approve("loan", "v3", actor="bob", reason="a test")
    assert baselines[3:] == [first.digest, second.digest]
    stored = registry.version("loan", "v3")
    assert [(gate.passed, gate.note) for gate in stored.gates] == [(False, "against 0.95")]
    assert stored.stage is Stage.CANDIDATE


def test_gates_are_evaluated_against_production_at_registration(
    registry: Registry, train: Train, baselines: list[str | None]
) -> None:
    registry_version = train(registry, accuracy=0.9)
    registry.approve("loan", "v1", actor="bob", reason="a test")
    assert [gate.passed for gate in train(registry, accuracy=0.88).gates] == [False]
    assert baselines == [None, registry_version.digest]


def test_policy_approves_what_passed(registry: Registry, train: Train) -> None:
    registry.declare(LOAN.declared(policy="automatic"))
    settled = registry.apply_policy(train(registry))
    assert settled.stage is Stage.PRODUCTION
    assert registry.apply_policy(settled) == settled
    assert [(d.actor, d.version) for d in registry.decisions()] == [(POLICY_ACTOR, "v1")]
    failed = registry.apply_policy(train(registry, accuracy=0.7))
    assert failed.stage is Stage.CANDIDATE
    assert len(registry.decisions()) == 1


def test_policy_leaves_the_rest_to_people(registry: Registry, train: Train) -> None:
    assert registry.apply_policy(train(registry)).stage is Stage.CANDIDATE  # manual
    registry.declare(LOAN.declared(policy="automatic"))
    late, newer = registry.version("loan", "v1"), train(registry)
    registry.apply_policy(newer)
    assert registry.apply_policy(late).stage is Stage.CANDIDATE  # older than production
    registry.apply_policy(train(registry))
    registry.rollback("loan", actor="bob", reason="complaints")
    assert (
        registry.apply_policy(registry.version("loan", "v3")).stage is Stage.ARCHIVED
    )  # undone by a person


def test_policy_takes_nothing_that_is_undecided_but_a_person_may(
    registry: Registry, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    undecided = GateResult(RULE, None, passed=False, note="no rows in common", undecided=True)
    monkeypatch.setattr(gate_evaluation, "evaluate_gates", lambda *_: (undecided,))
    registry.declare(LOAN.declared(policy="automatic"))
    assert registry.apply_policy(train(registry)).stage is Stage.CANDIDATE
    registry.approve("loan", "v1", actor="bob", reason="looked at it")
    assert registry.version("loan", "v1").stage is Stage.PRODUCTION


def test_an_altered_bundle_is_not_approved(registry: Registry, train: Train) -> None:
    version = train(registry)
    folder = Path(registry.location(version))
    (folder / "model.joblib").write_bytes(b"another model")
    with pytest.raises(
        IntegrityError, match=r"loan v1 at .* is not the one that the registry knows"
    ):
        registry.approve("loan", "v1", actor="bob", reason="a test")
    assert registry.decisions() == []


def test_there_is_no_rollback_to_an_altered_bundle(registry: Registry, train: Train) -> None:
    first = train(registry)
    train(registry)
    registry.approve("loan", "v1", actor="bob", reason="a test")
    registry.approve("loan", "v2", actor="bob", reason="a test")
    (Path(registry.location(first)) / "model.joblib").write_bytes(b"another model")
    for to in (None, "v1"):
        with pytest.raises(IntegrityError, match=r"loan v1 at .* is not the one"):
            registry.rollback("loan", to, actor="bob", reason="a test")
    assert registry.live_versions(["loan"])["loan"].name == "v2"
    assert len(registry.decisions()) == 2


def test_damage_in_production_loses_no_training(registry: Registry, train: Train) -> None:
    registry.declare(LOAN.declared(policy="automatic"))
    production = registry.apply_policy(train(registry))
    (Path(registry.location(production)) / "model.joblib").write_bytes(b"another model")
    version = registry.apply_policy(train(registry))
    assert version.stage is Stage.CANDIDATE
    assert [gate.verdict for gate in version.gates] == ["passed", "undecided"]
    registry.approve("loan", "v2", actor="bob", reason="v1 is damaged")
    with pytest.raises(IntegrityError):
        registry.fetch(production)


def test_a_missing_bundle_is_reported(registry: Registry, train: Train) -> None:
    version = train(registry)
    (Path(registry.location(version)) / "manifest.json").unlink()
    with pytest.raises(StorageError, match=r"The bundle of loan v1 is not at .*Restore it"):
        registry.fetch(version)
