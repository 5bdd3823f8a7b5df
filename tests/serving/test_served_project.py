"""Switches of the live version: one assignment; old versions are freed, and few others stay loaded."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.server import TIMEOUT

from windlass.core.bundle import Bundle
from windlass.monitoring.metrics import ServerMetrics
from windlass.monitoring.shared_counters import SharedCounters
from windlass.serving.model import ServedModel
from windlass.serving.rollout.loader import ModelLoader
from windlass.serving.served_project import MAX_LOADED_VERSIONS, ServedProject
from windlass.web.offload import DaemonExecutor
from windlass.web.problems import Problem


@pytest.fixture
def loader() -> Iterator[ModelLoader]:
    executor = DaemonExecutor("model")
    yield ModelLoader(executor)
    executor.close()


@pytest.fixture
def project() -> ServedProject:
    return ServedProject("iris", None, ServerMetrics(SharedCounters()))


def version(loader: ModelLoader, iris: Path, name: str) -> ServedModel:
    return loader.load(replace(Bundle.open(iris), registered_version=name))


def test_before_the_first_version(project: ServedProject) -> None:
    project.reason = "nothing was approved"
    with pytest.raises(Problem) as caught:
        project.live_model()
    assert caught.value.status == 503
    assert "nothing was approved" in caught.value.detail
    assert project.status()["ready"] is False


def test_unused_versions_are_freed(project: ServedProject, loader: ModelLoader, iris: Path) -> None:
    """But for the live one and its predecessor; without waiting for the collector."""
    gc.disable()
    try:
        seen = []
        for number in range(1, 6):
            model = version(loader, iris, f"v{number}")
            seen.append(weakref.ref(model))
            project.switch(model, 0.0)
            del model
        assert [reference() is not None for reference in seen] == [False, False, False, True, True]
        held = project.live_model()  # as a request does
        for number in (6, 7):
            project.switch(version(loader, iris, f"v{number}"), 0.0)
        assert seen[4]() is held
        del held
        assert seen[4]() is None
    finally:
        gc.enable()


def test_few_other_versions_stay_loaded(
    project: ServedProject, loader: ModelLoader, iris: Path
) -> None:
    for number in range(1, MAX_LOADED_VERSIONS + 3):
        project.add_loaded(version(loader, iris, f"v{number}"))
        assert project.loaded_version("v1") is not None  # asked for again and again
    loaded = [name for number in range(1, 20) if project.loaded_version(name := f"v{number}")]
    assert len(loaded) == MAX_LOADED_VERSIONS
    assert "v1" in loaded


def test_a_refusal_stays_until_the_next_switch(
    project: ServedProject, loader: ModelLoader, iris: Path
) -> None:
    project.production = "v1"
    project.switch(version(loader, iris, "v1"), 12.0)
    project.production = "v2"
    project.refuse("v2", "reference examples")
    status = project.status()
    assert (status["live_version"], status["stage"], status["live_since"]) == (
        "v1",
        "archived",
        12.0,
    )
    assert (status["refused"]["version"], status["refused"]["reason"]) == (
        "v2",
        "reference examples",
    )
    assert project.live_model().version == "v1"
    project.production = "v1"
    project.switch(project.live_model(), 13.0)
    assert project.status()["refused"] is None
    assert project.status()["stage"] == "production"


def test_predictions_are_counted_for_each_version(loader: ModelLoader, iris: Path) -> None:
    telemetry = ServerMetrics(SharedCounters())
    project = ServedProject("iris", None, telemetry)
    for name, times in (("v1", 2), ("v2", 3), ("v1", 1)):
        project.switch(project.loaded_version(name) or version(loader, iris, name), 0.0)
        for _ in range(times):
            project.live_model().counts[0] += 1.0
    counted = telemetry.snapshot().predictions
    assert {name: sum(counts.values()) for (_, name), counts in counted.items()} == {
        "v1": 3,
        "v2": 3,
    }


def test_a_bare_bundle_knows_no_other_version(
    project: ServedProject, loader: ModelLoader, iris: Path
) -> None:
    model = loader.load(Bundle.open(iris))
    project.switch(model, 0.0)
    assert asyncio.run(project.find_version(model.version)) is model
    with pytest.raises(Problem) as caught:
        asyncio.run(project.find_version("v1"))
    assert caught.value.status == 404
    assert project.stage is None


def test_the_load_of_a_decision_waits_for_no_other(loader: ModelLoader, iris: Path) -> None:
    """Loads for requests wait in a queue; at most one of them is running."""
    bundle = Bundle.open(iris)
    with ThreadPoolExecutor(1) as thread:
        with loader._request_queue:
            other = thread.submit(loader.load_for_request, bundle)
            assert loader.load(bundle).version == bundle.version
            assert not other.done()
        assert other.result(TIMEOUT).version == bundle.version
