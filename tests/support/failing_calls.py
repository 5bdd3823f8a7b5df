"""Calls that fail while they hold something, for tests that it is free as soon as the error was handled."""

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Body:
    """What a call holds."""


class FailingCalls:
    """`held` has a weak reference to what each call of `fail` held."""

    def __init__(self) -> None:
        self.held: list[weakref.ref[Body]] = []

    def fail(self, *_: object) -> Any:
        """Fails, and has its error refer to the frame that holds a body."""
        body = Body()
        self.held.append(weakref.ref(body))
        return 1 // 0


@contextmanager
def garbage_kept() -> Iterator[None]:
    """Turns the garbage collector off: what refers to itself stays."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
