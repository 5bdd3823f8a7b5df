"""What the registry and a server know of a project without running its code: its declaration, as data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from windlass.core.bundle import PROJECT_NAME
from windlass.core.feature_view import ViewRecord
from windlass.core.project import Project
from windlass.core.project_loader import ProjectSource

Policy = Literal["manual", "automatic"]


class CandidateSpec(BaseModel):
    """A candidate: its name, what it is, and the JSON Schema of its hyperparameters."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    name: str
    description: str
    hyperparameters: dict[str, Any]


class ProjectSpec(BaseModel):
    """A project as `project.py` declared it when it was last trained or served. `folder` is where."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(pattern=PROJECT_NAME)
    folder: str
    description: str = ""
    policy: Policy = "manual"
    four_eyes: bool = False
    models: tuple[CandidateSpec, ...] = ()  # the first is the default
    gates: tuple[str, ...] = ()  # the rules, as people read them
    takes_file: bool = False  # whether it can be trained on a file that is named
    view: ViewRecord | None = None

    @staticmethod
    def from_project(project: Project, source: ProjectSource) -> "ProjectSpec":
        """The declaration of a loaded project."""
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
            takes_file=project.takes_file,
            view=project.view_record,
        )


def find_project(declarations: Sequence[ProjectSpec], place: Path) -> str | None:
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
