"""The registry's contract, over {SQLite, PostgreSQL} x {files, S3}."""

import shutil
from pathlib import Path

import pytest
from tests.support.small_bundles import LOAN, Train

from windlass.core.bundle import MANIFEST, Bundle
from windlass.errors import RegistryError, UnknownError
from windlass.registry.registry import Registry
from windlass.registry.version import Stage
from windlass.settings import Settings


def test_a_version_is_kept_with_its_facts(every_registry: Registry, train: Train) -> None:
    version = train(every_registry, by="ann", job="job-1", accuracy=0.91)
    assert version == every_registry.version("loan", "v1")
    assert (version.name, version.stage, version.trained_by) == ("v1", Stage.CANDIDATE, "ann")
    assert version.facts["metrics"] == {"accuracy": 0.91}
    assert version.facts["params"] == {"model": "logreg", "seed": 7}
    assert version.facts["engine"]["name"] == "native"
    assert [(gate.rule, gate.value, gate.passed) for gate in version.gates] == [
        ("accuracy >= 0.8", 0.91, True)
    ]


def test_the_bundle_is_the_one_that_was_given(
    every_registry: Registry, train: Train, tmp_path: Path
) -> None:
    version = train(every_registry)
    given = Bundle.open(tmp_path / "trained-1")
    shutil.rmtree(tmp_path / "trained-1")  # the registry has a copy
    for _ in range(2):  # from the store, then from the copy on this machine
        bundle = every_registry.fetch(version)
        assert bundle.digest == version.digest == given.digest
        assert bundle.version == "v1"
        assert bundle.json("metrics.json") == {"accuracy": 0.9}


def test_bundles_are_stored_by_project_and_version(
    every_registry: Registry, every_settings: Settings, train: Train
) -> None:
    version = train(every_registry)
    folder = every_registry.location(version)
    root = every_settings.store_url or every_settings.home
    assert folder == f"{root}/models/loan/v1"
    if every_settings.store_url is None:
        assert (Path(folder) / MANIFEST).is_file()
        assert (Path(folder) / "metrics.json").is_file()


def test_numbers_follow_one_another(every_registry: Registry, train: Train) -> None:
    assert [train(every_registry).name for _ in range(3)] == ["v1", "v2", "v3"]
    assert [version.name for version in every_registry.versions("loan")] == ["v3", "v2", "v1"]


def test_a_job_registers_once(every_registry: Registry, train: Train, tmp_path: Path) -> None:
    first = train(every_registry, job="job-1")
    assert train(every_registry, job="job-1") == first  # resumed, with another bundle
    same = every_registry.register(tmp_path / "trained-1", trained_by="bob", job_id="job-2")
    assert same == first  # the very same bundle
    assert len(every_registry.versions("loan")) == 1


def test_from_candidate_to_production_and_back(every_registry: Registry, train: Train) -> None:
    registry = every_registry
    for _ in range(3):
        train(registry)
    assert registry.production("loan") is None
    first = registry.approve("loan", "v1", actor="bob", reason="better than nothing")
    assert (first.sequence, first.version, first.actor) == (1, "v1", "bob")
    registry.approve("loan", "v2", actor="bob", reason="better")
    registry.reject("loan", "v3", actor="bob", reason="worse")
    assert _stages(registry) == {"v1": "archived", "v2": "production", "v3": "rejected"}
    assert registry.rollback("loan", actor="eve", reason="complaints").version == "v1"
    assert _stages(registry) == {"v1": "production", "v2": "archived", "v3": "rejected"}
    assert registry.rollback("loan", actor="eve", reason="not that").version == "v2"
    assert registry.rollback("loan", "v1", actor="eve", reason="after all").version == "v1"
    chain = registry.decisions("loan")
    assert [d.action.value for d in chain] == ["approve", "approve", "reject", *["rollback"] * 3]
    assert [d.previous for d in chain[1:]] == [d.hash for d in chain[:-1]]
    assert registry.verify_decisions() == []


def test_live_is_what_the_newest_decision_says(every_registry: Registry, train: Train) -> None:
    registry = every_registry
    train(registry)
    version = train(registry)
    assert registry.live_versions(["loan"]) == {}
    decision = registry.approve("loan", "v2", actor="bob", reason="a test")
    live = registry.live_versions(["loan", "unknown"])
    assert set(live) == {"loan"}
    assert (live["loan"].name, live["loan"].digest) == ("v2", version.digest)
    assert (live["loan"].since, live["loan"].refusal_reason) == (decision.decided_at, None)
    registry.reject("loan", "v1", actor="bob", reason="a test")
    assert registry.live_versions(["loan"]) == live
    assert registry.live_versions([]) == {}


def test_another_process_sees_it_all(
    every_registry: Registry, every_settings: Settings, train: Train
) -> None:
    train(every_registry)
    every_registry.approve("loan", "v1", actor="bob", reason="a test")
    other = Registry.open(every_settings)
    assert other.versions("loan") == every_registry.versions("loan")
    assert other.decisions() == every_registry.decisions()
    assert other.declarations() == [LOAN.declared()]
    assert other.verify_decisions() == []
    other.close()


def test_a_declaration_replaces_the_one_before(every_registry: Registry) -> None:
    every_registry.declare(LOAN.declared(policy="automatic"))
    assert every_registry.declaration("loan").policy == "automatic"
    assert [d.name for d in every_registry.declarations()] == ["loan"]


def test_pruning_keeps_what_is_needed(every_registry: Registry, train: Train) -> None:
    registry = every_registry
    for _ in range(6):
        train(registry)
    registry.approve("loan", "v1", actor="bob", reason="a test")
    registry.approve("loan", "v2", actor="bob", reason="a test")
    pruned = registry.prune("loan", 2)
    assert [version.name for version in pruned] == ["v4", "v3"]
    assert all(version.pruned_at for version in pruned)
    assert registry.prune("loan", 2) == []
    for version in registry.versions("loan"):
        if version.pruned_at is None:
            assert registry.fetch(version).digest == version.digest
        else:
            with pytest.raises(RegistryError, match="was removed by `windlass prune`"):
                registry.fetch(version)
    with pytest.raises(RegistryError, match=r"removed by `windlass prune`.* Train it again"):
        registry.approve("loan", "v3", actor="bob", reason="a test")
    assert registry.rollback("loan", actor="bob", reason="a test").version == "v1"
    assert registry.verify_decisions() == []
    assert train(registry).name == "v7"


def test_what_failed_takes_no_place_of_what_may_be_of_use(registry: Registry, train: Train) -> None:
    for accuracy in (0.9, 0.9, 0.9, 0.9, 0.7, 0.9, 0.7):  # 0.8 are asked for
        train(registry, accuracy=accuracy)
    registry.approve("loan", "v1", actor="bob", reason="a test")
    registry.approve("loan", "v2", actor="bob", reason="a test")
    registry.reject("loan", "v6", actor="bob", reason="a test")
    assert [version.name for version in registry.prune("loan", 2)] == ["v5"]  # v7 and v6, v4 and v3
    assert registry.prune("loan", 2) == []
    assert [version.name for version in registry.prune("loan", 1)] == ["v6", "v3"]
    assert [version.name for version in registry.prune("loan", 0)] == ["v7", "v4"]


def test_unknown_names_are_reported(every_registry: Registry, train: Train) -> None:
    train(every_registry)
    for name in ("v2", "v0", "1", "v01", "production", "v99999999999", "v1\x00", ""):
        with pytest.raises(UnknownError):
            every_registry.version("loan", name)
    for project in ("iris", "Loan", "loan\x00", "../loan", "", "l" * 64, "\ud800"):
        with pytest.raises(UnknownError):
            every_registry.versions(project)
    with pytest.raises(UnknownError, match="newest is v1: `windlass versions loan` lists them"):
        every_registry.version("loan", "v99")
    with pytest.raises(UnknownError, match="It knows: loan"):
        every_registry.production("iris")


def test_words_that_no_database_keeps_are_refused(every_registry: Registry, train: Train) -> None:
    train(every_registry)
    for actor, reason in (
        ("", "x"), ("  ", "x"), ("a\x00b", "x"), ("\ud800", "x"), ("b" * 201, "x"),
        ("bob", "a\x00"), ("bob", "\ud800"), ("bob", "x" * 4001), ("bob", "\x1b[2J"),
    ):  # fmt: skip
        with pytest.raises(RegistryError):
            every_registry.approve("loan", "v1", actor=actor, reason=reason)
    decision = every_registry.approve("loan", "v1", actor="bøb ✓", reason="schöner\n\t🚀")
    assert every_registry.decisions("loan") == [decision]
    assert every_registry.verify_decisions() == []


def _stages(registry: Registry) -> dict[str, str]:
    return {version.name: version.stage.value for version in registry.versions("loan")}
