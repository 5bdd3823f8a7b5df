"""Retention of the ledger: by age and by size, never what a process may still append to."""

import os
import time
from pathlib import Path

import pytest

from windlass.monitoring.ledger import Ledger
from windlass.monitoring.ledger_retention import (
    LedgerLimits,
    ledger_bytes,
    ledger_limits,
    remove_old_segments,
)
from windlass.settings import Settings

DAY = 86_400.0


def segment(folder: Path, name: str, days: float, size: int = 100) -> Path:
    """A segment whose last record is so many days old; its name begins with a number that sorts it."""
    path = folder / name
    path.write_bytes(bytes(size))
    written = time.time() - days * DAY
    os.utime(path, (written, written))
    return path


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_by_age(tmp_path: Path) -> None:
    segment(tmp_path, "1-7.jsonl", 31)
    segment(tmp_path, "2-7.arrows", 31)
    segment(tmp_path, "3-7.jsonl", 29)
    segment(
        tmp_path, "4-8.jsonl", 31
    )  # the newest of its process, which is not appended to for long
    (tmp_path / "notes.txt").write_text("not a segment")
    removed = remove_old_segments(tmp_path, LedgerLimits(max_seconds=30 * DAY))
    assert sorted(path.name for path in removed) == ["1-7.jsonl", "2-7.arrows", "4-8.jsonl"]
    assert left(tmp_path) == ["3-7.jsonl", "notes.txt"]


def test_by_size_the_oldest_first(tmp_path: Path) -> None:
    for number in range(1, 11):  # 10 is not before 2
        segment(tmp_path, f"{number}-7.jsonl", 0)
    assert ledger_bytes(tmp_path) == 1000
    remove_old_segments(tmp_path, LedgerLimits(max_bytes=350))
    assert left(tmp_path) == ["10-7.jsonl", "8-7.jsonl", "9-7.jsonl"]
    assert ledger_bytes(tmp_path) == 300


def test_what_may_still_grow_is_kept(tmp_path: Path) -> None:
    names = ["1-7.jsonl", "2-7.jsonl", "2-7.arrows", "3-8.jsonl"]
    for name in names:
        segment(tmp_path, name, 0)
    remove_old_segments(tmp_path, LedgerLimits(max_seconds=0.0, max_bytes=0))
    assert left(tmp_path) == ["2-7.arrows", "2-7.jsonl", "3-8.jsonl"]
    remove_old_segments(tmp_path, LedgerLimits(max_bytes=0), segment_seconds=0.0)
    assert left(tmp_path) == []


def test_a_ledger_goes_on_while_it_is_limited(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, segment_bytes=100)
    for _ in range(10):
        ledger.append(bytes(100))
        remove_old_segments(tmp_path, LedgerLimits(max_bytes=300))
        assert ledger_bytes(tmp_path) <= 300
    assert len(left(tmp_path)) == 3


def test_without_limits_and_without_a_folder_nothing_is_removed(tmp_path: Path) -> None:
    segment(tmp_path, "1-7.jsonl", 10_000)
    segment(tmp_path, "2-7.jsonl", 10_000)
    assert remove_old_segments(tmp_path, LedgerLimits()) == []
    assert ledger_bytes(tmp_path / "missing") == 0
    assert remove_old_segments(tmp_path / "missing", LedgerLimits(max_bytes=0)) == []


@pytest.mark.parametrize(
    ("environment", "limits"),
    [
        ({}, LedgerLimits()),
        ({"WINDLASS_LEDGER_MAX_DAYS": "90"}, LedgerLimits(max_seconds=90 * DAY)),
        ({"WINDLASS_LEDGER_MAX_MB": "0.5"}, LedgerLimits(max_bytes=1 << 19)),
        ({"WINDLASS_LEDGER_MAX_DAYS": "off", "WINDLASS_LEDGER_MAX_MB": "OFF"}, LedgerLimits()),
    ],
)
def test_settings(environment: dict[str, str], limits: LedgerLimits) -> None:
    assert ledger_limits(Settings.read(environment)) == limits
