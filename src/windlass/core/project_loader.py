"""How a project's `project.py` is found and run, and how errors in a user's code are told."""

import hashlib
import importlib.util
import os
import sys
import sysconfig
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from windlass.core.project import Project
from windlass.errors import ProjectError, WindlassError

# where code lies that is not the user's own
_INSTALLED = (Path(__file__).parents[1], *map(Path, set(sysconfig.get_paths().values())))


@dataclass(frozen=True)
class ProjectSource:
    """Where a project was declared: its folder, and the SHA-256 of its `project.py`."""

    folder: Path
    digest: str


def load_project(folder: Path) -> tuple[Project, ProjectSource]:
    """Run `folder/project.py` and return what it declares as `project`.

    Raises ProjectError where the file is absent, fails, or declares no single Project.
    """
    path = folder.resolve() / "project.py"
    if not path.is_file():
        raise ProjectError(
            f"No project.py in {path.parent}. Name the folder of a project, or run `windlass` inside one."
        )
    content = path.read_bytes()
    # the project imports scikit-learn, whose threads otherwise spin while they wait for each other: on a
    # machine that is busy with other work a fit of seconds then takes minutes
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    namespace = _run_file(path)
    found = {id(value): value for value in namespace.values() if isinstance(value, Project)}
    if len(found) != 1:
        raise ProjectError(
            f"{path} declares {len(found)} projects. Declare exactly one: project = windlass.Project(…)."
        )
    return next(iter(found.values())), ProjectSource(
        path.parent, hashlib.sha256(content).hexdigest()
    )


def project_source(project: Project) -> ProjectSource:
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
    return ProjectSource(folder, hashlib.sha256(path.read_bytes()).hexdigest())


def _run_file(path: Path) -> dict[str, Any]:
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
    except WindlassError as error:
        raise ProjectError(f"{error} ({_source_line(error, path)})") from error
    except (Exception, SystemExit) as error:
        raise ProjectError(f"{path} failed: {describe_error(error)}") from error
    finally:
        sys.path.remove(str(path.parent))
    return vars(module)


def describe_error(error: BaseException) -> str:
    """What an error in a user's code was, and the line of it that it came from."""
    text = " ".join(str(error).split())[:500]
    kind = type(error).__name__
    return f"{kind}: {text} ({_source_line(error)})" if text else f"{kind} ({_source_line(error)})"


def _source_line(error: BaseException, path: Path | None = None) -> str:
    """The innermost line of the traceback that is in `path`, or in no installed package."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_user_code(Path(frame.filename), path)]
    frame = (own or frames)[-1]
    return f"{Path(frame.filename).name}, line {frame.lineno}"


def _is_user_code(file: Path, path: Path | None) -> bool:
    if path is not None:
        return file == path
    return file.suffix == ".py" and not any(file.is_relative_to(place) for place in _INSTALLED)
