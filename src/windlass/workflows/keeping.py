"""Which snapshots of features are still needed, and by whom: what was trained on them may be asked to prove it."""

import json
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from windlass.jobs.desk import Desk
from windlass.registry.registry import Registry

_JOBS = 1_000  # of a project, the newest, that are looked at


def needed(registry: Registry, project: str) -> dict[int, list[str]]:
    """By the number of a snapshot, what needs it: `v3`, the bundle in the project's folder, an unfinished job.

    A version whose bundle was pruned needs none. Raises UnknownError for a project that the registry does not
    know, StorageError.
    """
    found: defaultdict[int, list[str]] = defaultdict(list)
    folder = Path(registry.declaration(project).folder) / "artifacts"
    facts: list[tuple[str, Mapping[str, Any]]] = [
        (version.name, version.facts["params"])
        for version in reversed(registry.versions(project))
        if version.pruned_at is None
    ]
    facts.append((str(folder), _params(folder)))
    jobs = Desk(registry.database).list(project, _JOBS)
    facts += [(f"job {job.id}", job.request) for job in jobs if not job.state.is_final]
    for name, told in facts:
        number = told.get("snapshot")
        if isinstance(number, int):
            found[number].append(name)
    return dict(found)


def _params(bundle: Path) -> Mapping[str, Any]:
    """What a bundle was trained with; nothing where there is none that can be read."""
    with suppress(OSError, ValueError):
        told = json.loads((bundle / "params.json").read_bytes())
        return told if isinstance(told, dict) else {}
    return {}
