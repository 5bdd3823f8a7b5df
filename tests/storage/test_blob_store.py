"""One contract over every store: folders of files, in the home folder, in S3 and, with CI=true, in Azure."""

from pathlib import Path

import pytest

from windlass.settings import Settings
from windlass.storage.blob_store import BlobStore, open_blob_store
from windlass.storage.local_store import LocalBlobStore
from windlass.storage.object_store import ObjectBlobStore

FILES = ["model.joblib", "metrics.json", "manifest.json"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    for name in FILES:
        (source / name).write_bytes(name.encode() * 100)
    (source / "notes.txt").write_text("of a stranger")
    return source


def test_written_content_is_read_back(blobs: BlobStore, folder: Path, tmp_path: Path) -> None:
    blobs.upload(folder, FILES, "incoming/a")
    for name in FILES:
        assert blobs.read("incoming/a", name) == (folder / name).read_bytes()
        assert blobs.download("incoming/a", name, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == (folder / name).read_bytes()
    assert blobs.read("incoming/a", "notes.txt") is None


def test_what_is_not_there_is_none(blobs: BlobStore, tmp_path: Path) -> None:
    assert blobs.read("models/loan/v1", "manifest.json") is None
    assert not blobs.download("models/loan/v1", "manifest.json", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert blobs.folders("models") == []
    blobs.remove("models/loan/v1")


def test_a_folder_moves_whole_and_replaces_what_is_there(blobs: BlobStore, folder: Path) -> None:
    blobs.upload(folder, [*FILES, "notes.txt"], "models/loan/v1")  # as a crash left it
    blobs.upload(folder, FILES, "incoming/a")
    blobs.move("incoming/a", "models/loan/v1")
    assert blobs.folders("incoming") == []
    assert blobs.folders("models/loan") == ["v1"]
    assert blobs.read("models/loan/v1", "manifest.json") is not None
    assert blobs.read("models/loan/v1", "notes.txt") is None


def test_folders_are_distinguished(blobs: BlobStore, folder: Path) -> None:
    for name in ("models/loan/v1", "models/loan/v10", "models/loan/v2", "models/loans/v1"):
        blobs.upload(folder, FILES, name)
    assert blobs.folders("models") == ["loan", "loans"]
    assert blobs.folders("models/loan") == ["v1", "v10", "v2"]
    blobs.remove("models/loan/v1")
    assert blobs.folders("models/loan") == ["v10", "v2"]
    assert blobs.read("models/loan/v10", "manifest.json") is not None


def test_a_location_names_the_file_or_the_bucket(
    blobs: BlobStore, store_settings: Settings
) -> None:
    root = store_settings.store_url or str(store_settings.home)
    assert blobs.location("models/loan/v1") == f"{root}/models/loan/v1"


def test_the_url_selects_the_store(blobs: BlobStore, store_settings: Settings) -> None:
    assert isinstance(
        blobs, LocalBlobStore if store_settings.store_url is None else ObjectBlobStore
    )
    again = open_blob_store(store_settings)
    assert again.is_local == blobs.is_local == (store_settings.store_url is None)


def test_a_large_file_goes_in_parts(blobs: BlobStore, tmp_path: Path) -> None:
    content = bytes(range(256)) * (11 << 12)  # 11 MiB
    (tmp_path / "model.joblib").write_bytes(content)
    blobs.upload(tmp_path, ["model.joblib"], "incoming/large")
    assert blobs.download("incoming/large", "model.joblib", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == content
