"""Which snapshots are needed: by versions whose bundle is kept, by the bundle in the project's folder, by jobs."""

from pathlib import Path

import pytest
from tests.support.altered_bundles import change_json, copy_bundle
from tests.support.registry_home import RegistryHome
from tests.support.trained_bundles import BundleOf

from windlass.errors import UnknownError
from windlass.jobs.queue import JobQueue, JobRequest
from windlass.workflows.features import snapshot_users


def test_versions_artifacts_and_jobs_need_what_they_were_trained_on(
    tmp_path: Path, registry_home: RegistryHome, bundle_of: BundleOf
) -> None:
    folder = tmp_path / "iris"

    def bundle(name: str, **params: int) -> Path:
        copy = copy_bundle(bundle_of("iris"), folder / name)
        return change_json(copy, "params.json", lambda recorded: recorded.update(params))

    registry = registry_home.registry
    for name, number in (("one", 1), ("two", 2), ("three", 2)):
        registry_home.add(bundle(name, snapshot=number, seed=len(name) + number), folder=folder)
    registry_home.add(bundle("unbuilt"), folder=folder)
    assert snapshot_users(registry, "iris") == {1: ["v1"], 2: ["v2", "v3"]}

    bundle("artifacts", snapshot=2)
    queue = JobQueue(registry.database)
    queue.submit(JobRequest("iris", "train", {"snapshot": 7}, "ana"))
    ended = queue.submit(JobRequest("iris", "train", {"snapshot": 8}, "ana"))
    queue.cancel(ended.id)
    queue.submit(JobRequest("iris", "train", {}, "ana"))
    users = snapshot_users(registry, "iris")
    assert users.keys() == {1, 2, 7}
    assert users[2] == ["v2", "v3", str(folder / "artifacts")]

    registry.prune("iris", 2)  # v4, which was trained on none, and v3
    (folder / "artifacts" / "params.json").write_text("[")
    assert snapshot_users(registry, "iris").keys() == {2, 7}


def test_an_unknown_project_has_no_users(registry_home: RegistryHome) -> None:
    with pytest.raises(UnknownError, match="knows no project 'iris'"):
        snapshot_users(registry_home.registry, "iris")
