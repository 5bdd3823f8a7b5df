"""Requests to score a file, and the atomic writing of the output files."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from windlass.core.atomic_files import fsync_path, remove_stale_files, temporary_prefix
from windlass.errors import SettingsError


@dataclass(frozen=True)
class ScoreRequest:
    """Request to score `input`. `rejects` is `<output>.rejects.csv` unless named; `keep` names columns to copy.

    With `lenient`, lines of CSV that are not rows are rejects; without it they fail the request.
    """

    input: Path
    output: Path
    rejects: Path
    keep: tuple[str, ...] = ()
    lenient: bool = False

    @staticmethod
    def from_paths(
        source: Path,
        output: Path,
        rejects: Path | None = None,
        keep: tuple[str, ...] = (),
        *,
        lenient: bool = False,
    ) -> "ScoreRequest":
        """Return a request; rejects go beside the output by default."""
        rejects = rejects or output.with_name(f"{output.name}.rejects.csv")
        return ScoreRequest(source, output, rejects, keep, lenient)

    @property
    def paths(self) -> dict[str, Path]:
        """Paths by the command-line option that names them."""
        return {"--input": self.input, "--output": self.output, "--rejects": self.rejects}


@dataclass(frozen=True)
class ScoreSummary:
    """Counts of rows, the duration in seconds, and the ignored columns of the input, of one scoring run."""

    rows: int
    scored: int
    rejected: int
    seconds: float
    ignored_columns: tuple[str, ...] = ()


def require_distinct_paths(request: ScoreRequest) -> None:
    """Check that input, output and rejects are three files. Raises SettingsError."""
    seen: dict[Path, str] = {}
    for option, path in request.paths.items():
        resolved = path.resolve()
        if resolved in seen:
            raise SettingsError(
                f"{option} and {seen[resolved]} are both {path}. Name another file."
            )
        seen[resolved] = option


@contextmanager
def write_atomically(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Yield temporary paths to write; they replace `paths`, in order, only if no error is raised."""
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
