"""Finds the home folder of a project: `.windlass` of the nearest folder from the project's upward, as Git does."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from windlass.errors import SettingsError

HOME = ".windlass"
_ROOT = 0  # the user id of root


def find_home(targets: Sequence[Path] = ()) -> Path:
    """Returns the home folder for these projects or bundles; without any, for the current folder.

    It is the nearest existing `.windlass`, from the folder of each target upward; a target that does not exist is a
    name, looked for from the current folder. Where there is none, it is to be made beside the project's folder, or
    in it where that is the root of a Git repository; without a project, in the current folder. The path is relative
    where it is within the current folder. Raises SettingsError where the targets have different homes, or where the
    home belongs to another user.
    """
    folders = [_folder(target) for target in targets] or [Path.cwd()]
    homes = {home: folder for folder in folders if (home := _nearest(folder)) is not None}
    if len(homes) > 1:
        (home, folder), (other_home, other_folder) = list(homes.items())[:2]
        raise SettingsError(
            f"{folder} has its home in {home}, and {other_folder} in {other_home}. One command works with one home:"
            " name it with WINDLASS_HOME, or run the command once for each."
        )
    for home, folder in homes.items():
        _require_owner(home, folder)
        return _shorten(home)
    return _shorten(_new_home(folders[0]))


def _folder(target: Path) -> Path:
    path = target.resolve()
    if not path.exists():
        return Path.cwd()
    return path if path.is_dir() else path.parent


def _nearest(folder: Path) -> Path | None:
    homes = (parent / HOME for parent in _upward(folder))
    return next((home for home in homes if os.path.isdir(home)), None)  # noqa: PTH112 - an unreadable one is none


def _upward(folder: Path) -> Iterator[Path]:
    yield folder
    yield from folder.parents


def _new_home(folder: Path) -> Path:
    if not (folder / "project.py").is_file():
        return _nearest(Path.cwd()) or Path.cwd() / HOME
    is_top = (folder / ".git").exists() or folder == folder.parent
    return (folder if is_top else folder.parent) / HOME


def _require_owner(home: Path, folder: Path) -> None:
    """Raises SettingsError for a home that somebody else may have laid above the folder, such as in /tmp."""
    owner = home.stat().st_uid
    if owner not in (os.geteuid(), _ROOT, folder.stat().st_uid):
        raise SettingsError(
            f"{home}, the nearest home above {folder}, belongs to another user, who could have put models of their own"
            f" there. If you trust it, name it: WINDLASS_HOME={home}. Otherwise name another."
        )


def _shorten(home: Path) -> Path:
    here = Path.cwd()
    return home.relative_to(here) if home.is_relative_to(here) else home
