"""Finds and runs a project's `project.py`."""

import hashlib
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from windlass.core.error_descriptions import describe_error, source_line
from windlass.core.hashing import canonical_json, sha256
from windlass.core.project import Project
from windlass.errors import ProjectError, WindlassError


@dataclass(frozen=True)
class ProjectSource:
    """Folder of a project, and the SHA-256 of its `project.py`."""

    folder: Path
    digest: str


def load_project(folder: Path) -> tuple[Project, ProjectSource]:
    """Runs `folder/project.py` and returns the Project that it declares, and its source.

    Raises ProjectError if the file does not exist, fails, or does not declare exactly one Project.
    """
    path = folder.resolve() / "project.py"
    if not path.is_file():
        raise ProjectError(
            f"No project.py in {path.parent}. Name the folder of a project, or run `windlass` inside one."
        )
    content = path.read_bytes()
    # the project imports scikit-learn, whose OpenMP threads would wait for each other in busy loops: on a
    # loaded machine, training then takes minutes instead of seconds
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    namespace = _run_file(path)
    projects = {id(value): value for value in namespace.values() if isinstance(value, Project)}
    if len(projects) != 1:
        raise ProjectError(
            f"{path} declares {len(projects)} projects. Declare exactly one: project = windlass.Project(…)."
        )
    return next(iter(projects.values())), ProjectSource(
        path.parent, hashlib.sha256(content).hexdigest()
    )


def project_source(project: Project) -> ProjectSource:
    """Returns the source of a loaded project: the folder of the module that defines its row.

    Raises ProjectError if that module has no file.
    """
    module = sys.modules.get(project.row.__module__)
    file = getattr(module, "__file__", None)
    if file is None:
        raise ProjectError(
            f"Row {project.row.__name__} of project {project.name!r} was not declared in a file."
            " Declare the project in a project.py."
        )
    folder = Path(file).resolve().parent
    project_file = folder / "project.py"
    path = project_file if project_file.is_file() else Path(file)
    return ProjectSource(folder, hashlib.sha256(path.read_bytes()).hexdigest())


def object_source(project: Project, folder: Path) -> ProjectSource:
    """Returns the source of a project that is at hand as an object: of its file, or else of what it declares.

    Without a file, as in a notebook, `folder` stands for the project's, and the digest is that of its row, its
    candidates and the code of its functions.
    """
    try:
        return project_source(project)
    except ProjectError:
        functions = [project.data, *(kind.build for kind in project.candidates)]
        code = [getattr(function, "__code__", None) for function in functions]
        declared = {
            "row": project.schema.model_dump(mode="json"),
            "candidates": [[kind.name, kind.model_json_schema()] for kind in project.candidates],
            "code": [
                None if each is None else [each.co_code.hex(), repr(each.co_names)] for each in code
            ],
        }
        return ProjectSource(folder, sha256(canonical_json(declared)))


def _run_file(path: Path) -> dict[str, Any]:
    name = f"windlass_project_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # pickle and pydantic look up classes by module name; project.py imports modules from its folder
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except WindlassError as error:
        raise ProjectError(f"{error} ({source_line(error, path)})") from error
    except (Exception, SystemExit) as error:
        raise ProjectError(f"{path} failed: {describe_error(error)}") from error
    finally:
        sys.path.remove(str(path.parent))
    return vars(module)
