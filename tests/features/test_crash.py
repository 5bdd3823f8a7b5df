"""A build or an erasure that is broken off at any write leaves whole snapshots, and the next one goes on."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.conftest import ROOT
from tests.support.loan_view import make_loans
from tests.support.snapshots import build_snapshot, offline_store, read_sorted

from windlass.core.hashing import sha256_file
from windlass.errors import FeatureError
from windlass.features.io_errors import translate_disk_errors
from windlass.features.offline.build import BuildOptions
from windlass.features.offline.erasure import ErasedEntities, erase, undo_erasure
from windlass.features.offline.store import OfflineStore

LOANS = make_loans(20, seed=1)
FIRST, SECOND = LOANS.head(60), LOANS.tail(-60)
APPEND = BuildOptions(append=True)
WRITES = (
    (os, "fsync"), (os, "link"), (shutil, "rmtree"), (Path, "rename"), (Path, "replace"), (Path, "mkdir"),
    (Path, "symlink_to"), (Path, "unlink"), (Path, "write_bytes"),
)  # fmt: skip


class BrokenOffError(BaseException):
    """Stands for the death of the process: from then on nothing more is written, nor tidied up."""


@contextmanager
def crash_before_write(number: int) -> Iterator[None]:
    """Let no write but the first ones through, up to this number."""
    left = number

    def fused(original: Callable[..., Any]) -> Callable[..., Any]:
        def write(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left <= 0:
                raise BrokenOffError
            return original(*arguments, **named)

        return write

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in WRITES:
            patch.setattr(owner, name, fused(getattr(owner, name)))
        yield


def crash_at_every_write(work: Callable[[], object], look: Callable[[], object]) -> int:
    """Break work off before its first write, its second, …, and look each time; how many there were."""
    for number in range(1, 300):
        try:
            with crash_before_write(number):
                work()
        except BrokenOffError:
            look()
        else:
            return number - 1
    raise AssertionError("it never ends")


def assert_complete(store: OfflineStore) -> None:
    for snapshot in store.snapshots():
        for name, digest in snapshot.files.items():
            assert sha256_file(snapshot.folder / name) == digest


def snapshot_names(store: OfflineStore) -> list[str]:
    return sorted(str(path.relative_to(store.folder)) for path in store.folder.rglob("*"))


def test_a_build_broken_off_leaves_the_old_snapshot_or_the_new(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    build_snapshot(store, FIRST)
    SECOND.write_parquet(tmp_path / "raw.parquet")
    seen = []

    def work() -> None:
        if (
            store.snapshot().number == 1
        ):  # another crash may have come after the last write that counts
            build_snapshot(store, tmp_path / "raw.parquet", APPEND)

    def look() -> None:
        assert_complete(store)
        seen.append(store.snapshot().number)

    assert crash_at_every_write(work, look) > 20
    assert seen == sorted(seen)
    assert read_sorted(store.snapshot().event_parts()).height == LOANS.height
    build_snapshot(store, LOANS)
    assert [one.number for one in store.snapshots()] == [3, 2, 1]
    tidy = offline_store(tmp_path / "tidy")
    build_snapshot(tidy, FIRST)
    build_snapshot(tidy, tmp_path / "raw.parquet", APPEND)
    build_snapshot(tidy, LOANS)
    assert snapshot_names(store) == snapshot_names(tidy)


def test_an_erasure_broken_off_is_completed_by_the_next(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    build_snapshot(store, FIRST, BuildOptions(buckets=2))
    build_snapshot(store, SECOND, APPEND)
    before = snapshot_names(store)

    def look() -> None:
        for snapshot in store.snapshots():
            for parts in (snapshot.event_parts(), snapshot.state_parts(), snapshot.latest_parts()):
                assert pl.read_parquet(parts).filter(pl.col("id") != 103).height > 0

    assert crash_at_every_write(lambda: erase(store, 103), look) > 10
    assert_complete(store)
    for snapshot in store.snapshots():
        assert 103 not in pl.read_parquet(snapshot.event_parts())["id"]
        assert pl.read_parquet(snapshot.latest_parts()).height == snapshot.entities
    assert snapshot_names(store) == sorted([*before, "erased.json"])


def test_an_undoing_broken_off_leaves_it_remembered_or_not(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    build_snapshot(store, FIRST)
    for entity in (103, 104):
        erase(store, entity)
    known = pl.Series([103, 104])
    seen = []
    undone = crash_at_every_write(
        lambda: undo_erasure(store, 103),
        lambda: seen.append(ErasedEntities.read(store.folder).erased_in(known)),
    )
    assert undone > 3
    assert all(104 in one for one in seen)
    assert ErasedEntities.read(store.folder).erased_in(known) == [104]


def test_a_process_killed_before_the_new_snapshot_is_the_current_one(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    before = build_snapshot(store, FIRST)
    code = (
        "import os, sys, warnings; warnings.simplefilter('ignore')\n"
        "from pathlib import Path\n"
        "from tests.support.snapshots import build_snapshot, offline_store\n"
        f"Path.replace = lambda *_: os.kill(os.getpid(), {signal.SIGKILL.value})\n"
        "build_snapshot(offline_store(Path(sys.argv[1])), Path(sys.argv[2]))\n"
    )
    raw = tmp_path / "raw.parquet"
    LOANS.write_parquet(raw)
    command = [sys.executable, "-c", code, str(tmp_path), str(raw)]
    ended = subprocess.run(command, cwd=ROOT, check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    assert (store.folder / ".staging").exists()
    assert store.snapshot() == before
    assert [one.number for one in store.snapshots()] == [1]
    assert build_snapshot(store, raw).events == LOANS.height
    assert not (store.folder / ".staging").exists()


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    store = offline_store(tmp_path)
    before = build_snapshot(store, FIRST)
    raw = tmp_path / "raw.parquet"
    make_loans(4000, seed=3).write_parquet(raw)
    code = (
        "import resource, signal, sys, warnings; warnings.simplefilter('ignore')\n"
        "from pathlib import Path\n"
        "from tests.support.snapshots import build_snapshot, offline_store\n"
        "from windlass.errors import FeatureError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "for most in (2000, 150000, 300000):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (most, -1))\n"
        "    try:\n"
        "        build_snapshot(offline_store(Path(sys.argv[1])), Path(sys.argv[2]))\n"
        "    except FeatureError as error:\n"
        "        print(error)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path), str(raw)]
    ended = subprocess.run(
        command, cwd=ROOT, check=True, timeout=120, capture_output=True, text=True
    )
    told = ended.stdout.splitlines()
    assert len(told) == 3
    assert all(" written " in line and "File too large" in line for line in told), told
    assert store.snapshot() == before
    assert not (store.folder / ".staging").exists()


def test_what_the_disk_refuses_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(FeatureError, match=r"Name a folder that can be written with WINDLASS_HOME"),
        translate_disk_errors(tmp_path),
    ):
        raise OSError(30, "Read-only file system", "/there")
