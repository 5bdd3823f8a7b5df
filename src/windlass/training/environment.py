"""Environment of a training run: Python, packages, platform, and the commit of the project."""

import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from windlass._version import __version__

_NAMES = {"sklearn": "scikit-learn", "PIL": "pillow", "yaml": "pyyaml"}
_GIT_TIMEOUT = 5


def read_environment(folder: Path) -> dict[str, Any]:
    """Return what `environment.json` holds, for this process and the git commit of `folder`, if it has one."""
    return {
        "windlass": __version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": f"{platform.system()} {platform.machine()}",
        "commit": _commit(folder),
        "packages": _packages(),
    }


def installed_version(name: str) -> str | None:
    """Return the installed version of a package, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _packages() -> dict[str, str]:
    """Return the versions of all packages that this process has imported, since they may affect the result."""
    modules = {name.partition(".")[0] for name in list(sys.modules)}
    names = {
        _NAMES.get(name, name)
        for name in modules - sys.stdlib_module_names
        if not name.startswith("_")
    }
    versions = {name: installed_version(name) for name in sorted(names - {"windlass"})}
    return {name: installed for name, installed in versions.items() if installed is not None}


def _commit(folder: Path) -> str | None:
    """Return the commit, with `-dirty` where files differ from it; None without git or outside a repository."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command and a path, no shell
            [*command, "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
