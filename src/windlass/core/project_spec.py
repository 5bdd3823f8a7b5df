"""The declaration of a project as data, for the registry and servers, which do not run its code."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from windlass.core.bundle import PROJECT_NAME, artifacts_project
from windlass.core.feature_view import ViewRecord
from windlass.core.project import Project
from windlass.core.project_loader import ProjectSource

Policy = Literal["manual", "automatic"]


class CandidateSpec(BaseModel):
    """Candidate as data: its name, its description, and the JSON Schema of its hyperparameters."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    name: str
    description: str
    hyperparameters: dict[str, Any]


class ProjectSpec(BaseModel):
    """Declaration of a project as it was when the project was last trained or served; `folder` is its folder."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(pattern=PROJECT_NAME)
    folder: str
    description: str = ""
    policy: Policy = "manual"
    four_eyes: bool = False
    models: tuple[CandidateSpec, ...] = ()  # the first is the default
    gates: tuple[str, ...] = ()  # the rules as text
    takes_file: bool = False  # whether `--data FILE` works
    view: ViewRecord | None = None

    @staticmethod
    def from_project(project: Project, source: ProjectSource) -> "ProjectSpec":
        """Makes the declaration of a loaded project."""
        return ProjectSpec(
            name=project.name,
            folder=str(source.folder),
            description=project.description,
            policy=project.policy,
            four_eyes=project.four_eyes,
            models=tuple(
                CandidateSpec(
                    name=kind.name,
                    description=(kind.__doc__ or "").strip().partition("\n")[0],
                    hyperparameters=kind.model_json_schema(),
                )
                for kind in project.candidates
            ),
            gates=tuple(map(str, project.gates)),
            takes_file=project.view is None,
            view=project.view_record,
        )


def find_project(declarations: Sequence[ProjectSpec], folder_or_name: Path) -> str | None:
    """Returns the name of the project with this folder or name, or None.

    `declarations` are ordered from oldest to newest. If several have the same folder, the newest counts.
    """
    folder = str(folder_or_name.resolve())
    for declaration in reversed(declarations):
        if declaration.folder == folder:
            return declaration.name
    names = {declaration.name for declaration in declarations}
    return str(folder_or_name) if str(folder_or_name) in names else None


def find_served_project(declarations: Sequence[ProjectSpec], folder_or_name: Path) -> str | None:
    """Returns the name of the project to serve or predict with, or None.

    A folder that was moved or copied, or that another machine trained in, is known by the project of its `artifacts`.
    Decisions do not go by them: the code of a copy may declare another project by now.
    """
    project = find_project(declarations, folder_or_name)
    if project is not None:
        return project
    names = {declaration.name for declaration in declarations}
    return next(iter(names & {artifacts_project(folder_or_name)}), None)


def find_folder(declarations: Sequence[ProjectSpec], folder_or_name: Path) -> Path:
    """Returns the folder of the project with this folder or name; of an unknown one the path as it is.

    A folder with a `project.py` is itself, whatever was declared. `declarations` are ordered as for `find_project`.
    """
    if (folder_or_name / "project.py").is_file():
        return folder_or_name
    name = find_project(declarations, folder_or_name)
    folders = {declaration.name: Path(declaration.folder) for declaration in declarations}
    return folder_or_name if name is None else folders[name]
