"""A project: what the user declares, checked once, and how its `project.py` is found and loaded."""

import hashlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from windlass.core.candidate import Candidate
from windlass.core.gates import Gate
from windlass.core.row import read_row
from windlass.core.schema import RowSchema
from windlass.core.target import Target
from windlass.errors import ProjectError

RESERVED = frozenset({"model", "seed", "test_size", "artifacts", "track", "data", "json", "help"})
_LEDGER = frozenset(
    {"prediction", "prediction_id", "predicted_at", "model_version", "latency_ms", "row"}
)
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class Project:
    """A project, as `project.py` declares it. The first candidate is the default.

    `data` returns the labelled rows: a table (pandas, polars, pyarrow, or a dict of columns) that
    holds the row's columns and the target's. Missing values are null or NaN.
    """

    name: str
    row: type[BaseModel]
    target: Target
    data: Callable[[], Any]
    candidates: tuple[type[Candidate], ...]
    gates: tuple[Gate, ...] = ()
    description: str = ""
    schema: RowSchema = field(init=False, repr=False)

    def __init__(  # noqa: PLR0913 - the declaration: every argument is a keyword that the user reads
        self,
        *,
        name: str,
        row: type[BaseModel],
        target: Target,
        data: Callable[[], Any],
        candidates: Iterable[type[Candidate]],
        gates: Iterable[Gate] = (),
        description: str = "",
    ) -> None:
        values = {
            "name": name,
            "row": row,
            "target": target,
            "data": data,
            "description": description,
        }
        values |= {"candidates": tuple(candidates), "gates": tuple(gates), "schema": read_row(row)}
        for key, value in values.items():
            object.__setattr__(self, key, value)
        self._check()

    def _check(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ProjectError(
                f"Project name {self.name!r} is not usable in a URL."
                " Use lower-case letters, digits, - and _, starting with a letter."
            )
        if self.target.name in self.schema.names:
            raise ProjectError(
                f"Target {self.target.name!r} of project {self.name!r} is also a column of its row."
            )
        for name in self.schema.names:
            if name in _LEDGER or name.startswith("probability_"):
                raise ProjectError(
                    f"Column {name!r} of project {self.name!r} has the name of something that Windlass adds"
                    " to predictions. Call it something else."
                )
        names = [candidate.name for candidate in self.candidates]
        if not names or len(set(names)) < len(names):
            raise ProjectError(
                f"Project {self.name!r} needs candidates with different names, got {names}."
            )
        for candidate in self.candidates:
            for clash in RESERVED & candidate.model_fields.keys():
                raise ProjectError(
                    f"Candidate {candidate.name!r} of project {self.name!r} has the field {clash!r},"
                    " which names an argument of every training. Call it something else."
                )

    def candidate(self, name: str) -> type[Candidate]:
        """The candidate of this name. Raises ProjectError, naming those there are."""
        for candidate in self.candidates:
            if candidate.name == name:
                return candidate
        known = ", ".join(candidate.name for candidate in self.candidates)
        raise ProjectError(f"Project {self.name!r} has no model {name!r}. Choose one of: {known}.")


@dataclass(frozen=True)
class Source:
    """Where a project was declared: its folder, and the SHA-256 of its `project.py`."""

    folder: Path
    digest: str


def load_project(folder: Path) -> tuple[Project, Source]:
    """Run `folder/project.py` and return what it declares as `project`.

    Raises ProjectError where the file is absent, fails, or declares no single Project.
    """
    path = folder.resolve() / "project.py"
    if not path.is_file():
        raise ProjectError(
            f"No project.py in {folder}. Name the folder of a project, or run `windlass` inside one."
        )
    content = path.read_bytes()
    namespace = _run(path)
    found = {id(value): value for value in namespace.values() if isinstance(value, Project)}
    if len(found) != 1:
        raise ProjectError(
            f"{path} declares {len(found)} projects. Declare exactly one: project = windlass.Project(…)."
        )
    return next(iter(found.values())), Source(path.parent, hashlib.sha256(content).hexdigest())


def project_source(project: Project) -> Source:
    """Where a project that is already loaded was declared: the folder of the module of its row.

    Raises ProjectError where that is no file.
    """
    module = sys.modules.get(project.row.__module__)
    file = getattr(module, "__file__", None)
    if file is None:
        raise ProjectError(
            f"Row {project.row.__name__} of project {project.name!r} was not declared in a file."
            " Declare the project in a project.py."
        )
    folder = Path(file).resolve().parent
    declared = folder / "project.py"
    path = declared if declared.is_file() else Path(file)
    return Source(folder, hashlib.sha256(path.read_bytes()).hexdigest())


def _run(path: Path) -> dict[str, Any]:
    name = f"windlass_project_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # pickle and pydantic look classes up by module name; the folder is there for what project.py imports
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except ProjectError:
        raise
    except Exception as error:
        raise ProjectError(f"{path} failed: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(path.parent))
    return vars(module)
