"""Altered or missing files of a store are reported, and what dead registrations left is removed."""

import os
import shutil
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.server import free_port
from tests.support.signing_keys import write_keys
from tests.support.small_bundles import LOAN, Train

from windlass.core.bundle_signature import sign_manifest, verify_signature
from windlass.errors import BundleError, IntegrityError, RegistryError, StorageError, UnknownError
from windlass.registry import bundle_repository
from windlass.registry.registry import Registry
from windlass.settings import Settings
from windlass.storage.blob_store import open_blob_store


def test_an_altered_bundle_does_not_open(
    every_registry: Registry, every_settings: Settings, train: Train, tmp_path: Path
) -> None:
    version = train(every_registry)
    blobs = open_blob_store(every_settings)
    (tmp_path / "model.joblib").write_bytes(b"another model")
    if every_settings.store_url is None:
        (blobs.local_path("models/loan/v1") / "model.joblib").write_bytes(b"another model")
    else:
        blobs.upload(tmp_path, ["model.joblib"], "models/loan/v1")
    with pytest.raises(
        IntegrityError, match=r"loan v1 at .*/models/loan/v1 is not the one"
    ) as output:
        every_registry.fetch(version)
    assert "model.joblib is not the file that was sealed" in str(output.value)


def test_a_whole_bundle_that_is_another_does_not_open(
    every_registry: Registry, every_settings: Settings, train: Train, tmp_path: Path
) -> None:
    first, second = train(every_registry), train(every_registry)
    names = [file.name for file in (tmp_path / "trained-2").iterdir()]
    blobs = open_blob_store(every_settings)
    blobs.remove("models/loan/v1")
    blobs.upload(tmp_path / "trained-2", names, "models/loan/v1")
    with pytest.raises(IntegrityError, match=rf"digest is {second.digest[:12]} instead of"):
        every_registry.fetch(first)


def test_a_signature_is_stored_with_its_bundle(every_registry: Registry, tmp_path: Path) -> None:
    keys, bundle = write_keys(tmp_path / "keys"), LOAN.sealed(tmp_path / "signed")
    sign_manifest(bundle, keys.private)
    every_registry.declare(LOAN.declared())
    version = every_registry.register(bundle, trained_by="ada")
    verify_signature(every_registry.fetch(version), keys.public)


def test_a_manifest_leads_out_of_no_folder(
    every_registry: Registry, every_settings: Settings, train: Train, tmp_path: Path
) -> None:
    version = train(every_registry)
    sealed = (tmp_path / "trained-1" / "manifest.json").read_text()
    hostile = sealed.replace('"params.json"', '"../../escaped"')
    (tmp_path / "manifest.json").write_text(hostile)
    if every_settings.store_url is None:
        (Path(every_registry.location(version)) / "manifest.json").write_text(hostile)
    else:
        open_blob_store(every_settings).upload(tmp_path, ["manifest.json"], "models/loan/v1")
    with pytest.raises(IntegrityError, match="not a plain file name"):
        every_registry.fetch(version)


def test_only_sealed_bundles_of_declared_projects_are_registered(
    registry: Registry, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match="No bundle at"):
        registry.register(tmp_path, trained_by="ann")
    altered = LOAN.sealed(tmp_path / "altered")
    (altered / "model.joblib").write_bytes(b"another model")
    with pytest.raises(IntegrityError):
        registry.register(altered, trained_by="ann")
    other = replace(LOAN, project="iris").sealed(tmp_path / "iris")
    with pytest.raises(UnknownError, match="knows no project 'iris'"):
        registry.register(other, trained_by="ann")
    for by, job in (("", None), ("a\x00", None), ("a" * 201, None), ("ann", ""), ("ann", "j" * 65)):
        with pytest.raises(RegistryError, match="needs"):
            registry.register(
                LOAN.sealed(tmp_path / f"b{len(by)}-{job}"), trained_by=by, job_id=job
            )
    assert registry.versions("loan") == []


def test_only_what_was_sealed_is_kept(registry: Registry, tmp_path: Path) -> None:
    folder = LOAN.sealed(tmp_path / "bundle")
    (folder / ".DS_Store").write_text("of a desktop")
    version = registry.register(folder, trained_by="ann")
    assert not (Path(registry.location(version)) / ".DS_Store").exists()


def test_files_of_dead_processes_are_removed_and_those_of_living_ones_stay(
    every_registry: Registry, every_settings: Settings, train: Train, tmp_path: Path
) -> None:
    version = train(every_registry)
    blobs = open_blob_store(every_settings)
    here, now = bundle_repository._process_namespace(), int(time.time())
    (tmp_path / "manifest.json").write_text("{}")
    long_ago = now - int(bundle_repository.ABANDONED_SECONDS) - 60
    names = {
        f"{here}~{os.getpid()}~{now}~a1": True,
        f"{here}~{2**22 + 1}~{now}~a2": False,  # above every process id
        f"elsewhere~1~1~{now}~a3": True,
        f"elsewhere~1~1~{long_ago}~a4": False,
        f"{here}~{os.getpid()}~{long_ago}~a5": False,
        "notes": True,
    }
    for name in names:
        blobs.upload(tmp_path, ["manifest.json"], f"incoming/{name}")
    every_registry.sweep()
    assert blobs.folders("incoming") == sorted(name for name, stays in names.items() if stays)
    assert every_registry.fetch(version).digest == version.digest


def test_bundles_that_no_version_has_are_kept(
    every_registry: Registry, every_settings: Settings, train: Train, tmp_path: Path
) -> None:
    version = train(every_registry)
    blobs = open_blob_store(every_settings)
    (tmp_path / "manifest.json").write_text("{}")
    for folder in ("v2", "v7", "notes"):  # as an older database leaves them
        blobs.upload(tmp_path, ["manifest.json"], f"models/loan/{folder}")
    Registry.open(every_settings).close()
    assert blobs.folders("models/loan") == ["notes", "v1", "v2", "v7"], "reading removes nothing"
    every_registry.sweep()
    assert blobs.folders("models/loan") == ["notes", "v1"]
    orphans = blobs.folders("orphans/loan")
    assert [orphan.partition("~")[0] for orphan in orphans] == ["v2", "v7"]
    for orphan in orphans:
        assert blobs.read(f"orphans/loan/{orphan}", "manifest.json") == b"{}"
    assert train(every_registry).name == "v2"
    for stored in every_registry.versions("loan"):
        assert every_registry.fetch(stored).digest == stored.digest
    assert every_registry.version("loan", "v1") == version


def test_a_bundle_left_by_a_crash_is_no_orphan_once_it_is_registered(
    registry: Registry, train: Train, tmp_path: Path
) -> None:
    train(registry)
    models = Path(registry.location(registry.version("loan", "v1"))).parent
    folder = LOAN.sealed(tmp_path / "again")
    shutil.copytree(folder, models / "v2")
    (models / "v3").mkdir()
    (models / "v3" / "model.joblib").write_text("half")
    assert registry.register(folder, trained_by="ann").name == "v2"
    assert train(registry).name == "v3"
    assert list((models.parents[1] / "orphans" / "loan").iterdir()) == []


def test_what_a_pruning_left_goes_with_the_next_registration(
    registry: Registry, train: Train, tmp_path: Path
) -> None:
    folder = Path(registry.location(train(registry)))
    shutil.copytree(folder, tmp_path / "copy")
    registry.prune("loan", 0)
    shutil.copytree(tmp_path / "copy", folder)
    train(registry)
    assert not folder.exists()


def test_a_store_that_is_away_does_not_stop_reading(
    s3_url: str, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path / "home", store_url=s3_url, store_http=True)
    registry = Registry.open(settings)
    registry.declare(LOAN.declared())
    version, other = train(registry), train(registry)
    registry.approve("loan", "v1", actor="bob", reason="a test")
    registry.close()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    registry = Registry.open(settings)
    assert registry.live_versions(["loan"])["loan"].digest == version.digest
    assert registry.fetch(version).digest == version.digest  # the copy on this machine
    for ask in (lambda: registry.fetch(other), lambda: train(registry)):
        with pytest.raises(StorageError, match=f"The bundle store {s3_url} cannot be"):
            ask()
    assert len(registry.versions("loan")) == 2
    registry.close()


def test_names_of_machines_are_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Ann's ~/laptop")
    assert bundle_repository._process_namespace().split("~")[0] == "Ann-s---laptop"
