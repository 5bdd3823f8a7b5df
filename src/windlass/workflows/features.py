"""Builds and materialises a project's features, and finds the snapshot that a training reads."""

import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windlass.core.atomic_files import make_private_folder
from windlass.core.error_descriptions import describe_error
from windlass.core.feature_view import ServedEvent, ViewRecord
from windlass.core.progress import ProgressCallback
from windlass.core.project import Project
from windlass.core.project_loader import ProjectSource
from windlass.errors import FeatureError, WindlassError
from windlass.settings import Settings
from windlass.training.dataset import RowsReader
from windlass.training.plan import TrainingPlan

if TYPE_CHECKING:  # a process that trains needs no database
    from windlass.features.offline.snapshot import Snapshot
    from windlass.features.online.materialise import MaterialisationResult
    from windlass.features.online.reader import Features
    from windlass.registry.registry import Registry
    from windlass.workflows.declared_view import DeclaredView

ENTITIES, SEED = 2_000, 7


def generate_events(folder: Path, out: Path, entities: int = ENTITIES, seed: int = SEED) -> int:
    """Runs the project's `generate.py`, which writes generated events of so many entities to `out` (CSV or Parquet).

    Returns the number of events. The project's code runs in this process. Raises FeatureError where there is no
    `generate.py`, or it fails, and any WindlassError that it raises.
    """
    if not (folder / "generate.py").is_file():
        raise FeatureError(
            f"There is no generate.py in {folder} to generate events. Name a raw file: --data FILE."
        )
    sys.path.insert(0, str(folder))
    try:
        rows: int = import_module("generate").generate(entities, seed, out)
    except WindlassError:
        raise
    except Exception as error:
        raise FeatureError(f"{folder / 'generate.py'} failed: {describe_error(error)}") from error
    finally:
        sys.path.remove(str(folder))
    return rows


def build_features(
    project: Project, source: ProjectSource, task: Mapping[str, Any], progress: ProgressCallback
) -> dict[str, Any]:
    """Builds a snapshot as `task` requests, from a file or from generated events; returns its summary.

    Raises FeatureError; QualityError where too many raw rows break the contract.
    """
    from windlass.features.engines.duckdb import check_memory
    from windlass.features.offline.build import BuildOptions, build
    from windlass.features.offline.store import OfflineStore

    if project.view is None or project.view_record is None:
        raise FeatureError(
            f"Project {project.name} declares no feature view: there is nothing to build."
        )
    requested = {name: value for name, value in task["build"].items() if value is not None}
    raw = requested.pop("file", None)
    options = BuildOptions(**requested)
    check_memory(options.memory)
    file = _generate_file(source, Path(task["staging"]), progress) if raw is None else Path(raw)
    store = OfflineStore.from_settings(Settings(home=Path(task["home"])), project.name)
    return snapshot_summary(
        build(project.view, project.view_record, store, file, options, progress)
    )


def _generate_file(source: ProjectSource, staging: Path, progress: ProgressCallback) -> Path:
    progress(0.0, "Generating events")
    make_private_folder(staging)
    file = staging / "generated.parquet"
    generate_events(source.folder, file)
    return file


def snapshot_summary(snapshot: "Snapshot") -> dict[str, Any]:
    """Returns the facts of a snapshot that a job reports."""
    return {
        "snapshot": snapshot.number,
        "view": snapshot.view,
        "events": snapshot.events,
        "entities": snapshot.entities,
        "recomputed": snapshot.recomputed,
        "quality": snapshot.quality,
    }


def resolve_snapshot(
    project: Project, plan: TrainingPlan, settings: Settings
) -> tuple[TrainingPlan, RowsReader | None]:
    """Returns the plan with the number of its snapshot, and a reader of its rows; None for a project without a view.

    Raises FeatureError where there is no such snapshot; reading does where another view computed it.
    """
    view, record = project.view, project.view_record
    if view is None or record is None:
        return plan, None
    from windlass.features.offline.store import OfflineStore
    from windlass.features.offline.training_set import training_rows

    snapshot = OfflineStore.from_settings(settings, project.name).snapshot(plan.snapshot)
    return replace(plan, snapshot=snapshot.number), partial(training_rows, view, record, snapshot)


_MAX_JOBS = 1_000  # the newest of a project, that are searched


def snapshot_users(registry: "Registry", project: str) -> dict[int, list[str]]:
    """Returns what needs a snapshot, by its number: versions (`v3`), the project folder's bundle, unfinished jobs.

    A version whose bundle was pruned needs none. Raises UnknownError for a project that the registry does not
    know, StorageError.
    """
    from windlass.jobs.queue import JobQueue

    users: defaultdict[int, list[str]] = defaultdict(list)
    folder = Path(registry.declaration(project).folder) / "artifacts"
    parameters: list[tuple[str, Mapping[str, Any]]] = [
        (version.name, version.facts["params"])
        for version in reversed(registry.versions(project))
        if version.pruned_at is None
    ]
    parameters.append((str(folder), _params(folder)))
    jobs = JobQueue(registry.database).list(project, _MAX_JOBS)
    parameters += [(f"job {job.id}", job.request) for job in jobs if not job.state.is_final]
    for name, values in parameters:
        number = values.get("snapshot")
        if isinstance(number, int):
            users[number].append(name)
    return dict(users)


def _params(bundle: Path) -> Mapping[str, Any]:
    """Reads the training parameters of a bundle; empty where they cannot be read."""
    with suppress(OSError, ValueError):
        params = json.loads((bundle / "params.json").read_bytes())
        return params if isinstance(params, dict) else {}
    return {}


def read_features(
    settings: Settings, declared: "DeclaredView", entities: Sequence[Any], at: ServedEvent | None
) -> "list[Features | None]":
    """Reads the features of entities from the online store, in their order; None for one that it does not know.

    Raises FeatureError where nothing is materialised yet, and for an invalid id; StorageError.
    """
    from windlass.features.online.reader import FeatureReader
    from windlass.features.online.store import online_store

    with closing(online_store(settings, declared.view, declared.name)) as store:
        answers = FeatureReader(declared.view, store).get_many(entities, at)
        if not any(answers) and store.freshness() is None:
            raise FeatureError(
                f"No features of {declared.name} are materialised yet. Run `windlass features build {declared.name}`,"
                f" then `windlass features materialise {declared.name}`."
            )
    return answers


def materialise_features(
    settings: Settings,
    record: ViewRecord,
    project: str,
    number: int | None,
    progress: ProgressCallback,
    *,
    replace: bool = False,
) -> tuple["Snapshot", "MaterialisationResult"]:
    """Materialises the snapshot of this number, or the current one; returns the snapshot and the result.

    With `replace`, the project's online store is emptied first.

    Raises FeatureError where there is no such snapshot, or a part of it was changed; SettingsError; StorageError
    where the online store fails.
    """
    from windlass.features.offline.snapshot import LATEST
    from windlass.features.offline.store import OfflineStore
    from windlass.features.online.materialise import materialise
    from windlass.features.online.store import online_store

    snapshot = OfflineStore.from_settings(settings, project).snapshot(number)
    with closing(online_store(settings, record, project)) as store:
        parts = snapshot.verified_parts(LATEST)
        if replace:
            store.clear()
        return snapshot, materialise(store, record, parts, snapshot, progress)
