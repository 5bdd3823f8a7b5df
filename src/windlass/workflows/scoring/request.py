"""What is to be scored, and how what comes of it appears: whole, at the end, or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from windlass.core.atomic_files import fsync_path, remove_stale_files, temporary_prefix
from windlass.errors import SettingsError


@dataclass(frozen=True)
class ScoreRequest:
    """What to score. `rejects` is `<output>.rejects.csv` unless named; `keep` names columns to copy."""

    input: Path
    output: Path
    rejects: Path
    keep: tuple[str, ...] = ()

    @staticmethod
    def of(
        source: Path, output: Path, rejects: Path | None = None, keep: tuple[str, ...] = ()
    ) -> "ScoreRequest":
        """A request with the default place for rejects."""
        return ScoreRequest(
            source, output, rejects or output.with_name(f"{output.name}.rejects.csv"), keep
        )

    @property
    def paths(self) -> dict[str, Path]:
        """What is named, by the option that names it."""
        return {"--input": self.input, "--output": self.output, "--rejects": self.rejects}


@dataclass(frozen=True)
class ScoreSummary:
    """How scoring went."""

    rows: int
    scored: int
    rejected: int
    seconds: float


def require_distinct_paths(request: ScoreRequest) -> None:
    """Refuse to write one thing over another. Raises SettingsError."""
    seen: dict[Path, str] = {}
    for option, path in request.paths.items():
        place = path.resolve()
        if place in seen:
            raise SettingsError(f"{option} and {seen[place]} are both {path}. Name another file.")
        seen[place] = option


@contextmanager
def write_atomically(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Files or folders to write beside `paths`, put in their places, in order, only if all went well."""
    parts = tuple(path.with_name(f"{temporary_prefix(path)}part") for path in paths)
    for path in paths:
        remove_stale_files(path)
    try:
        yield parts
        for part, path in zip(parts, paths, strict=True):
            fsync_path(part)
            part.replace(path)
    except OSError as error:
        raise SettingsError(
            f"Cannot write {' and '.join(map(str, paths))}: {error.strerror or error}."
            " Name files in a folder that can be written, on a disk with space."
        ) from error
    finally:
        for part in parts:
            if part.is_dir():
                shutil.rmtree(part, ignore_errors=True)
            else:
                part.unlink(missing_ok=True)
