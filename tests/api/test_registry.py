"""`windlass.registry`: versions, comparisons and decisions, by the rules of the command line."""

from pathlib import Path

import pytest
from tests.support.cli import run_cli
from tests.support.registry_home import RegistryHome, other_bundle
from tests.support.trained_bundles import BundleOf

import windlass
from windlass.auth.key import Role
from windlass.auth.key_store import KeyStore
from windlass.core.project_spec import ProjectSpec
from windlass.errors import AccessError, RegistryError, StorageError, UnknownError
from windlass.workflows.project_lookup import current_user


@pytest.fixture
def home(
    registry_home: RegistryHome, iris: Path, bundle_of: BundleOf, monkeypatch: pytest.MonkeyPatch
) -> RegistryHome:
    """A home with v1 and v2 of Iris, both candidates."""
    monkeypatch.setenv("WINDLASS_HOME", str(registry_home.home))
    monkeypatch.delenv("WINDLASS_KEY", raising=False)
    registry_home.add(iris)
    registry_home.add(other_bundle(bundle_of))
    return registry_home


def test_versions_decisions_and_their_effects(home: RegistryHome) -> None:
    registry = windlass.registry("iris")
    assert [version.name for version in registry.versions()] == ["v2", "v1"]
    assert registry.production is None
    decision = registry.approve(reason="good")  # the newest candidate
    assert (decision.version, decision.actor) == ("v2", current_user())
    first = registry.version(1)
    assert first.stage == "candidate"
    first.approve("better")
    assert first.stage == "production"
    assert registry.production == first
    assert registry.version("v2").stage == "archived"
    registry.rollback(reason="slow")
    assert first.refresh().stage == "archived"
    assert [each.version for each in registry.decisions()] == ["v2", "v1", "v2"]
    assert registry.verify_decisions() == []
    with pytest.raises(UnknownError, match="no candidate"):
        registry.reject(reason="none left")
    with pytest.raises(RegistryError, match="only a candidate can be rejected"):
        first.reject("too late")


def test_a_version_says_what_it_is(home: RegistryHome) -> None:
    version = windlass.registry("iris").version("v1")
    assert (version.project, version.number, version.trained_by) == ("iris", 1, "somebody")
    assert version.path == home.folder("v1")
    assert version.card.startswith("# ")
    assert version.metrics["accuracy"] > 0.8
    assert [gate.rule for gate in version.gates] == ["accuracy >= 0.9", "macro_f1 >= 0.9"]
    assert version.load().version == "v1"
    assert version.created_at.tzinfo is not None


def test_a_comparison_in_words_numbers_and_html(home: RegistryHome) -> None:
    comparison = windlass.registry("iris").compare("v1", "v2")
    assert comparison.rows == 30
    assert "v1 against v2, on 30 rows" in str(comparison)
    assert run_cli("compare", "iris", "v1", "v2", "--json").json() == comparison.to_dict()
    assert "<th" in comparison._repr_html_()
    assert windlass.registry("iris").version(1).compare("v2").to_dict() == comparison.to_dict()


def test_four_eyes_and_keys_hold(home: RegistryHome, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = home.registry.declaration("iris")
    home.registry.declare(spec.model_copy(update={"four_eyes": True}))
    monkeypatch.setenv("WINDLASS_KEY", "not a key of this registry")
    with pytest.raises(AccessError, match="unknown here"):
        windlass.registry("iris").approve("v1", reason="good")
    keys = KeyStore(home.registry.database)
    trainer, other = (keys.create(name, Role.APPROVE, None) for name in ("somebody", "ana"))
    with pytest.raises(RegistryError, match="somebody"):  # who trained it
        windlass.registry("iris", key=trainer).approve("v1", reason="good")
    assert windlass.registry("iris").version(1).approve("good", key=other).actor == "ana"


def test_html_is_escaped(home: RegistryHome) -> None:
    script = "<script>alert(1)</script>"
    windlass.registry("iris").approve("v1", reason=script)
    html = windlass.registry("iris").decisions()._repr_html_()
    assert script not in html
    assert "&lt;script&gt;" in html
    for value in (windlass.registry("iris"), windlass.registry("iris").version(1)):
        assert "<table>" in value._repr_html_()


def test_unknown_projects_and_registries(
    home: RegistryHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.registry.declare(ProjectSpec(name="empty", folder="/nowhere"))
    assert windlass.registry("empty").versions() == []
    with pytest.raises(UnknownError):
        windlass.registry("unheard_of")
    monkeypatch.setenv("WINDLASS_HOME", str(tmp_path / "none"))
    with pytest.raises(StorageError):
        windlass.registry("iris")
    assert not (tmp_path / "none").exists()
