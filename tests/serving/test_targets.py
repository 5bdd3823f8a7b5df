"""Targets of `windlass serve`: a bundle by itself, or a project of the registry."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.altered_bundles import copy_bundle
from tests.support.registry_home import RegistryHome, altered_copy
from tests.support.server import Server, free_port
from tests.support.trained_bundles import BundleOf

from windlass.app import application
from windlass.core.bundle import Bundle
from windlass.core.project_spec import ProjectSpec
from windlass.errors import BundleError, ProjectError, RegistryError, SettingsError, StorageError
from windlass.serving.targets import ServeTarget, resolve_targets
from windlass.settings import Settings


@pytest.fixture
def project(tmp_path: Path, iris: Path) -> Path:
    """A project's folder, with a bundle in its artifacts."""
    folder = tmp_path / "project"
    copy_bundle(iris, folder / "artifacts")
    (folder / "project.py").write_text("raise SystemExit('a server runs no code of a project')")
    return folder


def resolve(path: Path | str, settings: Settings) -> ServeTarget:
    (target,) = resolve_targets([path], settings)
    return target


def test_a_bundle_where_there_is_no_registry(iris: Path, tmp_path: Path) -> None:
    target = resolve(iris, Settings(home=tmp_path / "nothing"))
    assert target.project == "iris"
    assert target.bundle is not None
    assert target.bundle.path == iris
    assert not (tmp_path / "nothing").exists()


def test_a_folder_that_the_registry_knows_is_followed(
    registry_home: RegistryHome, project: Path
) -> None:
    registry_home.registry.declare(ProjectSpec(name="iris", folder=str(project)))
    target = resolve(project, registry_home.settings)
    assert (target.project, target.bundle) == ("iris", None)


def test_an_unregistered_folder_is_served_by_its_artifacts(
    registry_home: RegistryHome, project: Path
) -> None:
    registry_home.registry.declare(ProjectSpec(name="other", folder="/elsewhere"))
    target = resolve(project, registry_home.settings)
    assert target.bundle is not None
    assert target.bundle.path == project / "artifacts"


def test_a_folder_that_was_copied_is_followed_as_the_project_of_its_artifacts(
    registry_home: RegistryHome, project: Path
) -> None:
    registry_home.registry.declare(ProjectSpec(name="iris", folder="/elsewhere"))
    target = resolve(project, registry_home.settings)
    assert (target.project, target.bundle) == ("iris", None)


def test_a_name_that_the_registry_knows_is_followed(
    registry_home: RegistryHome, iris: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry_home.add(iris)
    monkeypatch.chdir(tmp_path)
    assert resolve("iris", registry_home.settings).bundle is None
    with pytest.raises(BundleError, match="there is no such folder"):
        resolve("nobody", registry_home.settings)


def test_a_bundle_that_the_registry_knows_and_never_approved_is_refused(
    registry_home: RegistryHome, iris: Path, tmp_path: Path
) -> None:
    registry_home.add(iris)
    for path in (iris, registry_home.folder("v1")):
        with pytest.raises(RegistryError, match=r"never approved.*windlass approve iris v1"):
            resolve(path, registry_home.settings)
    registry_home.approve("v1")
    assert resolve(iris, registry_home.settings).bundle is not None
    registry_home.live(altered_copy(iris, tmp_path / "next"))
    assert resolve(iris, registry_home.settings).bundle is not None  # it was in production


@pytest.mark.parametrize("approved", [False, True])
def test_a_bundle_that_is_no_version_of_a_project_that_the_registry_knows_is_refused(
    registry_home: RegistryHome, iris: Path, bundle_of: BundleOf, tmp_path: Path, approved: bool
) -> None:
    """Or a byte changed in the manifest would get round the approval."""
    registry_home.add(iris)
    if approved:
        registry_home.approve("v1")
    edited = altered_copy(iris, tmp_path / "edited")
    refused = r"none of its versions.*`windlass train`.*another WINDLASS_HOME"
    with pytest.raises(RegistryError, match=refused):
        resolve(edited, registry_home.settings)
    with pytest.raises(RegistryError, match=refused):
        application(edited, settings=registry_home.settings)
    assert resolve(edited, Settings(home=tmp_path / "elsewhere")).bundle is not None
    assert resolve(bundle_of("mixed"), registry_home.settings).bundle is not None  # not known there


def test_an_approved_bundle_is_unpickled_without_an_option(
    registry_home: RegistryHome, bundle_of: BundleOf
) -> None:
    registry_home.live(bundle_of("native"), project="native")
    assert resolve(bundle_of("native"), registry_home.settings).bundle is not None


def test_a_digest_is_for_bundles_by_path(registry_home: RegistryHome, iris: Path) -> None:
    registry_home.live(iris)
    settings = replace(registry_home.settings, digests=(Bundle.open(iris).digest,))
    with pytest.raises(SettingsError, match="the registry decides which version"):
        resolve("iris", settings)
    assert resolve(iris, settings).bundle is not None


def test_a_server_of_a_bundle_that_is_no_version_ends(
    registry_home: RegistryHome, iris: Path, tmp_path: Path
) -> None:
    registry_home.live(iris)
    server = Server.of(altered_copy(iris, tmp_path / "edited"), home=registry_home.home)
    assert server.exit_code() == 1
    assert "none of its versions" in server.log.read_text()


def test_two_bundles_of_a_project_are_refused(registry_home: RegistryHome, iris: Path) -> None:
    registry_home.live(iris)
    with pytest.raises(ProjectError, match="'iris'"):
        resolve_targets([iris, "iris"], registry_home.settings)


def test_a_database_that_is_away_is_reported(
    iris: Path, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name is served once the registry is back; for a bundle, only the registry can say whether it was approved."""
    pytest.importorskip("psycopg")
    url = f"postgresql+psycopg://127.0.0.1:{free_port()}/windlass"
    settings = Settings(home=tmp_path / "home", database_url=url)
    monkeypatch.chdir(tmp_path)
    assert resolve("iris", settings).bundle is None
    for path in (iris, project, "../iris"):
        with pytest.raises(StorageError):
            resolve(path, settings)


def test_a_target_is_equal_to_itself_and_to_no_other_start(tmp_path: Path) -> None:
    first, second = ServeTarget("iris"), ServeTarget("iris")
    assert resolve_targets([first], Settings(home=tmp_path)) == [first]
    assert first.session != second.session
