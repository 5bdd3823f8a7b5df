import os
from pathlib import Path
from typing import Any

import pytest

from windlass.core import bundle_writer
from windlass.core.bundle import Bundle, Manifest
from windlass.core.bundle_writer import (
    check_replaceable,
    publish_bundle,
    seal_bundle,
    staging_folder,
)
from windlass.errors import BundleError

FACTS: dict[str, Any] = {
    "project": "toy",
    "created": "2026-01-01T00:00:00+00:00",
    "data_digest": "0" * 64,
    "engine": {"name": "native"},
}
SCHEMA = '{"row":{"title":"R","columns":[{"name":"x","kind":"number"}]},"target":{"name":"y"}}'


def write(target: Path, text: str) -> Manifest:
    """Publish a bundle whose pipeline is `text`."""
    with staging_folder(target) as folder:
        (folder / "model.joblib").write_text(text)
        (folder / "schema.json").write_text(SCHEMA)
        (folder / "golden.json").write_text("{}")
        manifest = seal_bundle(folder, **FACTS)
        publish_bundle(folder, target)
    return manifest


def held(target: Path) -> str:
    """What the bundle at `target` was written with."""
    return Bundle.open(target).read("model.joblib").decode()


def hidden(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if file.name.startswith("."))


@pytest.fixture(params=["exchange", "two renames"])
def exchange_method(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to put a bundle in the place of another."""
    if request.param == "two renames":
        monkeypatch.setattr("windlass.core.bundle_writer.sys.platform", "other")
    return str(request.param)


@pytest.mark.usefixtures("exchange_method")
def test_a_bundle_takes_the_place_of_another(tmp_path: Path) -> None:
    for text in ("one", "two", "three"):
        write(tmp_path / "b", text)
        assert held(tmp_path / "b") == text
    assert hidden(tmp_path) == []


@pytest.mark.usefixtures("exchange_method")
def test_a_failure_while_staging_leaves_the_old_bundle(tmp_path: Path) -> None:
    write(tmp_path / "b", "one")
    with pytest.raises(ZeroDivisionError), staging_folder(tmp_path / "b") as folder:
        (folder / "model.joblib").write_text(str(1 // 0))
    assert held(tmp_path / "b") == "one"
    assert hidden(tmp_path) == []


def test_a_crash_between_two_renames_is_recovered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "b"
    write(target, "one")
    target.rename(tmp_path / ".b.old")  # what the first of the two renames does
    with staging_folder(target):
        assert held(target) == "one"
    write(target, "two")
    assert held(target) == "two"


def test_a_crash_after_two_renames_is_cleaned_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("windlass.core.bundle_writer.sys.platform", "other")
    target = tmp_path / "b"
    write(target, "one")
    write(tmp_path / ".b.old", "zero")
    write(target, "two")
    assert held(target) == "two"
    assert hidden(tmp_path) == []


def test_what_dead_runs_left_is_removed_and_living_ones_are_not(tmp_path: Path) -> None:
    dead, living = tmp_path / ".b.99999999.abc", tmp_path / f".b.{os.getpid()}.abc"
    for folder in (dead, living):
        folder.mkdir()
        (folder / "model.joblib").write_text("half")
    write(tmp_path / "b", "one")
    assert hidden(tmp_path) == [living.name]


def test_a_link_stays_and_leads_to_the_new_bundle(tmp_path: Path) -> None:
    write(tmp_path / "real" / "b", "one")
    symlink = tmp_path / "b"
    symlink.symlink_to(tmp_path / "real" / "b")
    write(symlink, "two")
    assert symlink.is_symlink()
    assert held(tmp_path / "real" / "b") == "two"
    assert hidden(tmp_path / "real") == []


def test_the_manifest_names_every_file(tmp_path: Path) -> None:
    manifest = write(tmp_path / "b", "one")
    assert set(manifest.files) == {"model.joblib", "schema.json", "golden.json"}
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o755


def test_what_is_no_bundle_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis").write_text("mine")
    for name in ("file", "folder"):
        with pytest.raises(BundleError, match="is not a bundle"):
            write(tmp_path / name, "one")
    assert (tmp_path / "folder" / "thesis").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty", "one")
    with pytest.raises(BundleError, match="mount point"):
        check_replaceable(Path("/"))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BundleError, match=r"Cannot write to .*file.*--artifacts"):
        write(tmp_path / "file" / "b", "one")


def test_an_unknown_failure_of_the_exchange_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "b", "one")

    def denied(*paths: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(bundle_writer, "_swap_folders", denied)
    with pytest.raises(BundleError, match="Operation not permitted"):
        write(tmp_path / "b", "two")
    assert held(tmp_path / "b") == "one"


def test_a_device_or_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "artifacts")
    with pytest.raises(BundleError, match="is not a bundle"):
        check_replaceable(tmp_path / "artifacts")
