"""Atomic files: leftovers of killed processes are removed, files of running ones stay."""

import os
from pathlib import Path

from tests.support.child_process import ChildProcess, ended_pid, python_command

from windlass.core.atomic_files import (
    fsync_path,
    is_process_alive,
    remove_stale_files,
    temporary_prefix,
)


def test_only_what_dead_processes_left_is_removed(tmp_path: Path) -> None:
    target = tmp_path / "out[1].csv"
    dead = ended_pid()
    (tmp_path / f".out[1].csv.{dead}.part").write_text("half")
    (tmp_path / f".out[1].csv.{dead}.abc").mkdir()
    remaining = {
        tmp_path / f"{temporary_prefix(target)}part",
        tmp_path / ".out[1].csv.old.part",
        tmp_path / f".other.csv.{dead}.part",
    }
    for path in remaining:
        path.write_text("growing")
    remove_stale_files(target)
    assert set(tmp_path.iterdir()) == remaining


def test_dead_processes_are_recognised() -> None:
    assert is_process_alive(os.getpid())
    assert is_process_alive(1)
    assert not is_process_alive(ended_pid())


def test_a_zombie_is_dead() -> None:
    with ChildProcess(python_command("")) as child:
        os.waitid(
            os.P_PID, child.pid, os.WEXITED | os.WNOWAIT
        )  # it has ended, and nobody reaped it
        os.kill(child.pid, 0)  # there is such a process
        assert not is_process_alive(child.pid)


def test_files_and_folders_can_be_flushed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    fsync_path(tmp_path / "file")
    fsync_path(tmp_path)
