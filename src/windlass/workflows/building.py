"""A build of features, as the process does it that has the project's code, and what is told of a snapshot."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windlass.core.loading import Source
from windlass.core.project import Project
from windlass.errors import FeatureError
from windlass.settings import Settings
from windlass.training.request import Progress
from windlass.workflows.generating import generate

if TYPE_CHECKING:
    from windlass.features.snapshot import Snapshot


def build_features(
    project: Project, source: Source, task: Mapping[str, Any], progress: Progress
) -> dict[str, Any]:
    """Build as a task asks (see Building), of a file or of what the project makes up: what the snapshot holds.

    Raises FeatureError; QualityError where too many raw rows break the contract.
    """
    from windlass.features.build import BuildOptions, build
    from windlass.features.compute import check_memory
    from windlass.features.offline import OfflineStore

    if project.view is None or project.features is None:
        raise FeatureError(
            f"Project {project.name} declares no feature view: there is nothing to build."
        )
    asked = {name: value for name, value in task["build"].items() if value is not None}
    named = asked.pop("file", None)
    options = BuildOptions(**asked)
    check_memory(options.memory)
    file = _made_up(source, Path(task["staging"]), progress) if named is None else Path(named)
    store = OfflineStore.of(Settings(home=Path(task["home"])), project.name)
    return about(build(project.view, project.features, store, file, options, progress))


def _made_up(source: Source, staging: Path, progress: Progress) -> Path:
    progress(0.0, "Making events up")
    staging.mkdir(parents=True, exist_ok=True)
    file = staging / "generated.parquet"
    generate(source.folder, file)
    return file


def about(snapshot: "Snapshot") -> dict[str, Any]:
    """What a job tells of a snapshot."""
    return {
        "snapshot": snapshot.number,
        "view": snapshot.view,
        "events": snapshot.events,
        "entities": snapshot.entities,
        "recomputed": snapshot.recomputed,
        "quality": snapshot.quality,
    }
