"""Crashes before each write of some work, one after the other."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

WRITES = (
    (os, "fsync"), (os, "link"), (shutil, "rmtree"), (Path, "rename"), (Path, "replace"), (Path, "mkdir"),
    (Path, "symlink_to"), (Path, "unlink"), (Path, "write_bytes"),
)  # fmt: skip


class BrokenOffError(BaseException):
    """Stands for the death of the process: from then on nothing more is written, nor tidied up."""


@contextmanager
def crash_before_write(number: int) -> Iterator[None]:
    """Raises at the write of this number, and at each one after it."""
    left = number

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def write(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left <= 0:
                raise BrokenOffError
            return original(*arguments, **named)

        return write

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in WRITES:
            patch.setattr(owner, name, counted(getattr(owner, name)))
        yield


def crash_at_every_write(
    work: Callable[[], object], look: Callable[[], object], stride: int = 1
) -> int:
    """Crashes work before its first write, its second, …, and looks each time; returns how many writes there are.

    With `stride`, before every write of that distance.
    """
    for number in range(1, 300, stride):
        try:
            with crash_before_write(number):
                work()
        except BrokenOffError:
            look()
        else:
            return number - 1
    raise AssertionError("it never ends")
