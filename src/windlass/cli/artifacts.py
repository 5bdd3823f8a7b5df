"""Where a training leaves a copy of its bundle besides the registry: a project's `artifacts`, or a folder named."""

import shutil
from contextlib import ExitStack
from pathlib import Path

from windlass.cli.console import say_error
from windlass.core.bundle import Bundle
from windlass.core.sealing import publish, refuse_foreign, staging
from windlass.errors import BundleError


class Artifacts:
    """The place, held ready before any work is done. Where it was `named`, it must be usable.

    Raises BundleError; a place that nobody named is done without, with a warning.
    """

    def __init__(self, target: Path, *, named: bool) -> None:
        self._target = target
        self._named = named
        self._stack = ExitStack()
        self._folder: Path | None = None
        try:
            refuse_foreign(target)
            self._folder = self._stack.enter_context(staging(target))
        except BundleError as error:
            self._warn(error)

    def leave(self, bundle: Bundle) -> Path | None:
        """Put a copy of a bundle there at one stroke; where it is, or None without a place."""
        if self._folder is None:
            return None
        try:
            shutil.copytree(bundle.path, self._folder, dirs_exist_ok=True)
            publish(self._folder, self._target)
        except OSError as error:
            self._warn(BundleError(f"Cannot write to {self._target}: {error}."), error)
            return None
        except BundleError as error:
            self._warn(error)
            return None
        return self._target

    def __enter__(self) -> "Artifacts":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _warn(self, error: BundleError, cause: Exception | None = None) -> None:
        if self._named:
            raise error from cause
        say_error(f"warning: the registry alone keeps the bundle. {error}")
