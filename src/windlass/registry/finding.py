"""Which project is meant: by the folder that declares it, or by its name."""

from collections.abc import Sequence
from pathlib import Path

from windlass.core.declaration import Declaration


def find_project(declarations: Sequence[Declaration], place: Path) -> str | None:
    """The name of the project that `place` is the folder or the name of; None where none is known.

    Of two projects that were declared in one folder at different times, the one declared last
    (`declarations` come oldest first).
    """
    folder = str(place.resolve())
    for declaration in reversed(declarations):
        if declaration.folder == folder:
            return declaration.name
    names = {declaration.name for declaration in declarations}
    return str(place) if str(place) in names else None
