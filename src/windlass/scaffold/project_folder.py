"""Writes the folder of a new project: its declaration, its data, its README and its tests."""

import csv
import filecmp
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from windlass.core.atomic_files import temporary_prefix
from windlass.core.project import require_project_name
from windlass.errors import ProjectError
from windlass.scaffold.project_source import write_project
from windlass.scaffold.project_texts import GITIGNORE, PYTEST_SETTINGS, write_readme, write_tests
from windlass.scaffold.source_table import read_source
from windlass.scaffold.table_inference import TableProfile, infer_table

_MAX_BACKUPS = 1000
_EXAMPLE_FILE = "subscriptions.csv"
_EXAMPLE_TARGET = "cancelled"
_EXAMPLE_ROWS = 600
_EXAMPLE_PLANS = {"basic": 9.0, "standard": 19.0, "premium": 39.0}
_EXAMPLE_COLUMNS = (
    "customer_id",
    "plan",
    "months",
    "monthly_price",
    "support_calls",
    "autopay",
    "last_login",
    "cancelled",
)


@dataclass(frozen=True)
class NewProject:
    """Project that was written: its folder, its files, what it was inferred from.

    `backups` are the files that were in their place, with the names that they have now.
    """

    folder: Path
    files: tuple[Path, ...]
    backups: tuple[tuple[Path, Path], ...]
    profile: TableProfile


def make_project(
    folder: Path, file: Path | None = None, target: str | None = None, *, force: bool = False
) -> NewProject:
    """Infer a project from a table, or from an example without one, and write its folder.

    The folder's name is the project's. With `force` it may exist; a file there that would change is kept under
    another name. Raises ProjectError for a name or a folder that cannot be used, DataError and InputError for a table
    that cannot be learned from; nothing is written then.
    """
    require_project_name(folder.name)
    _require_usable(folder, force=force)
    if file is not None and target is not None:
        return _write(folder, file, infer_table(read_source(file), target))
    with tempfile.TemporaryDirectory() as temporary:
        example = Path(temporary) / _EXAMPLE_FILE
        example.write_text(_write_example(), "utf-8")
        return _write(folder, example, infer_table(read_source(example), _EXAMPLE_TARGET))


def _require_usable(folder: Path, *, force: bool) -> None:
    exists = os.path.lexists(folder)
    if exists and not folder.is_dir():
        raise ProjectError(f"{folder} is a file, and not a folder. Choose another name.")
    if exists and not force:
        raise ProjectError(
            f"{folder} exists already. Choose another name, or add --force: it keeps each file that would change"
            " under another name."
        )
    if not folder.parent.is_dir():
        raise ProjectError(f"There is no folder {folder.parent}. Make it, or choose another place.")


def _write(folder: Path, file: Path, profile: TableProfile) -> NewProject:
    name = folder.name
    texts = {
        Path("project.py"): write_project(name, profile),
        Path("README.md"): write_readme(name, profile),
        Path("tests") / "test_project.py": write_tests(name),
        Path("pyproject.toml"): PYTEST_SETTINGS,
        Path(".gitignore"): GITIGNORE,
    }
    data = Path("data") / profile.source.file_name
    staging = folder.with_name(f"{temporary_prefix(folder)}new")
    with _translate_errors(folder):
        try:
            for path, text in texts.items():
                (staging / path).parent.mkdir(parents=True, exist_ok=True)
                (staging / path).write_text(text, "utf-8", newline="\n")
            (staging / data.parent).mkdir(exist_ok=True)
            shutil.copyfile(file, staging / data)
            backups = _publish(staging, folder, [data, *texts])
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    files = tuple(folder / path for path in [*texts, data])
    return NewProject(folder, files, tuple(backups), profile)


@contextmanager
def _translate_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ProjectError(
            f"{folder} cannot be written: {error.strerror}. Choose another folder, or make room."
        ) from error


def _publish(staging: Path, folder: Path, paths: list[Path]) -> list[tuple[Path, Path]]:
    """Move the files into the folder, at once where it does not exist; return the files that made room, old and new."""
    if not os.path.lexists(folder):
        staging.rename(folder)
        return []
    backups = []
    for path in paths:
        source, target = staging / path, folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_file() and filecmp.cmp(source, target, shallow=False):
            continue
        if os.path.lexists(target):
            backup = _free_name(target)
            target.rename(backup)
            backups.append((target, backup))
        source.rename(target)
    return backups


def _free_name(target: Path) -> Path:
    for number in range(1, _MAX_BACKUPS):
        backup = target.with_name(f"{target.name}.bak{number}")
        if not os.path.lexists(backup):
            return backup
    raise ProjectError(
        f"{target.parent} has too many backups of {target.name}. Remove some of them."
    )


def _write_example() -> str:
    """Return the example table as CSV, the same in every call."""
    random = Random(7)  # noqa: S311 - an example, no secret
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_EXAMPLE_COLUMNS)
    for number in range(1, _EXAMPLE_ROWS + 1):
        writer.writerow(_example_row(number, random))
    return text.getvalue()


def _example_row(number: int, random: Random) -> list[object]:
    plan = random.choice(list(_EXAMPLE_PLANS))
    months = random.randint(1, 60)
    price = round(_EXAMPLE_PLANS[plan] * random.uniform(0.8, 1.1), 2)
    calls = min(int(random.expovariate(0.6)), 9)
    autopay = random.random() < 0.6
    idle = random.randint(0, 60)
    score = 0.5 * calls + 0.05 * idle - 0.05 * months - 1.2 * autopay + 0.3 * (plan == "premium")
    cancelled = score + random.gauss(0, 0.7) > 0.8
    last_login = f"2026-{9 - idle // 30:02d}-{30 - idle % 30:02d}"
    return [
        f"C{number:04d}",
        plan,
        months,
        "" if random.random() < 0.03 else price,
        calls,
        "yes" if autopay else "no",
        last_login,
        "yes" if cancelled else "no",
    ]
