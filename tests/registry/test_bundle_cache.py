"""Copies of far bundles: verified on every open, fetched again where damaged, swept where left."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.child_process import ended_pid
from tests.support.small_bundles import LOAN

from windlass.core.bundle import Bundle
from windlass.errors import IntegrityError, StorageError
from windlass.registry.bundle_cache import MAX_UNUSED_SECONDS, BundleCache


@pytest.fixture
def far(tmp_path: Path) -> Bundle:
    return Bundle.open(LOAN.sealed(tmp_path / "far"))


@pytest.fixture
def cache(tmp_path: Path) -> BundleCache:
    return BundleCache(tmp_path / "cache")


def fetching(far: Bundle, fetched: list[Path]) -> Callable[[Path], None]:
    def fetch(folder: Path) -> None:
        fetched.append(folder)
        shutil.copytree(far.path, folder, dirs_exist_ok=True)

    return fetch


def test_a_bundle_is_fetched_once(cache: BundleCache, far: Bundle, tmp_path: Path) -> None:
    fetched: list[Path] = []
    for _ in range(3):
        assert cache.open(far.digest, fetching(far, fetched)).digest == far.digest
    assert len(fetched) == 1
    assert [folder.name for folder in (tmp_path / "cache").iterdir()] == [far.digest]


@pytest.mark.parametrize("name", ["model.joblib", "manifest.json", "schema.json"])
def test_a_damaged_copy_is_fetched_again(cache: BundleCache, far: Bundle, name: str) -> None:
    fetched: list[Path] = []
    copy = cache.open(far.digest, fetching(far, fetched)).path
    (copy / name).write_bytes(b"{}")
    assert cache.open(far.digest, fetching(far, fetched)).read("metrics.json")
    (copy / name).unlink()
    assert cache.open(far.digest, fetching(far, fetched)).digest == far.digest
    assert len(fetched) == 3


def test_another_bundle_is_not_kept(cache: BundleCache, far: Bundle, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="its digest is"):
        cache.open("e" * 64, fetching(far, []))
    (far.path / "model.joblib").write_bytes(b"another model")
    with pytest.raises(IntegrityError, match=r"model\.joblib is not the file that was sealed"):
        cache.open(far.digest, fetching(far, []))
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_second_fetch_uses_the_copy_that_is_there(cache: BundleCache, far: Bundle) -> None:
    def fetch(folder: Path) -> None:
        cache.open(far.digest, fetching(far, []))  # another process is faster
        shutil.copytree(far.path, folder, dirs_exist_ok=True)

    assert cache.open(far.digest, fetch).digest == far.digest


def test_what_is_left_or_unused_is_swept(cache: BundleCache, far: Bundle, tmp_path: Path) -> None:
    stored = cache.open(far.digest, fetching(far, [])).path
    (tmp_path / "cache" / f".{'e' * 64}.{ended_pid()}.x1").mkdir()
    (tmp_path / "cache" / f".{'e' * 64}.{os.getpid()}.x1").mkdir()
    old = tmp_path / "cache" / ("a" * 64)
    old.mkdir()
    os.utime(old, (0, time.time() - MAX_UNUSED_SECONDS - 60))
    cache.sweep()
    left = {folder.name for folder in (tmp_path / "cache").iterdir()}
    assert left == {stored.name, f".{'e' * 64}.{os.getpid()}.x1"}
    cache.remove(far.digest)
    assert not stored.exists()


def test_a_folder_that_cannot_be_written_is_reported(far: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        StorageError,
        match=r"The bundle cache failed at .*file.*: .* Check that the disk works",
    ):
        BundleCache(tmp_path / "file" / "cache").open(far.digest, fetching(far, []))
