"""A switch is one assignment; the old version is freed once nobody holds it; and few others are kept."""

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
from windlass.serving.served_project import MAX_AT_HAND, ServedProject
from windlass.web.offload import DaemonExecutor
from windlass.web.problems import Problem


@pytest.fixture
def loader() -> Iterator[ModelLoader]:
    executor = DaemonExecutor("model")
    yield ModelLoader(executor)
    executor.close()


@pytest.fixture
def hosted() -> ServedProject:
    return ServedProject("iris", None, ServerMetrics(SharedCounters()))


def version(loader: ModelLoader, iris: Path, name: str) -> ServedModel:
    return loader.load(replace(Bundle.open(iris), registered_version=name))


def test_before_the_first_version(hosted: ServedProject) -> None:
    hosted.reason = "nothing was approved"
    with pytest.raises(Problem) as caught:
        hosted.live()
    assert caught.value.status == 503
    assert "nothing was approved" in caught.value.detail
    assert hosted.told()["ready"] is False


def test_versions_nobody_uses_are_freed(
    hosted: ServedProject, loader: ModelLoader, iris: Path
) -> None:
    """But for the live one and its predecessor; without waiting for the collector."""
    gc.disable()
    try:
        seen = []
        for number in range(1, 6):
            model = version(loader, iris, f"v{number}")
            seen.append(weakref.ref(model))
            hosted.switch(model, 0.0)
            del model
        assert [one() is not None for one in seen] == [False, False, False, True, True]
        held = hosted.live()  # as a request does
        for number in (6, 7):
            hosted.switch(version(loader, iris, f"v{number}"), 0.0)
        assert seen[4]() is held
        del held
        assert seen[4]() is None
    finally:
        gc.enable()


def test_few_others_are_kept(hosted: ServedProject, loader: ModelLoader, iris: Path) -> None:
    for number in range(1, MAX_AT_HAND + 3):
        hosted.keep(version(loader, iris, f"v{number}"))
        assert hosted.at_hand("v1") is not None  # asked for again and again
    kept = [name for number in range(1, 20) if hosted.at_hand(name := f"v{number}")]
    assert len(kept) == MAX_AT_HAND
    assert "v1" in kept


def test_a_refusal_stays_until_the_next_switch(
    hosted: ServedProject, loader: ModelLoader, iris: Path
) -> None:
    hosted.production = "v1"
    hosted.switch(version(loader, iris, "v1"), 12.0)
    hosted.production = "v2"
    hosted.refuse("v2", "reference examples")
    told = hosted.told()
    assert (told["live_version"], told["stage"], told["live_since"]) == ("v1", "archived", 12.0)
    assert (told["refused"]["version"], told["refused"]["reason"]) == ("v2", "reference examples")
    assert hosted.live().version == "v1"
    hosted.production = "v1"
    hosted.switch(hosted.live(), 13.0)
    assert hosted.told()["refused"] is None
    assert hosted.told()["stage"] == "production"


def test_predictions_are_counted_for_each_version(loader: ModelLoader, iris: Path) -> None:
    telemetry = ServerMetrics(SharedCounters())
    hosted = ServedProject("iris", None, telemetry)
    for name, times in (("v1", 2), ("v2", 3), ("v1", 1)):
        hosted.switch(hosted.at_hand(name) or version(loader, iris, name), 0.0)
        for _ in range(times):
            hosted.live().counts[0] += 1.0
    counted = telemetry.snapshot().predictions
    assert {name: sum(counts.values()) for (_, name), counts in counted.items()} == {
        "v1": 3,
        "v2": 3,
    }


def test_a_bare_bundle_knows_no_other_version(
    hosted: ServedProject, loader: ModelLoader, iris: Path
) -> None:
    model = loader.load(Bundle.open(iris))
    hosted.switch(model, 0.0)
    assert asyncio.run(hosted.named(model.version)) is model
    with pytest.raises(Problem) as caught:
        asyncio.run(hosted.named("v1"))
    assert caught.value.status == 404
    assert hosted.stage is None


def test_a_decided_load_stands_in_no_line(loader: ModelLoader, iris: Path) -> None:
    """As others do that clients asked for, one of which may be at work."""
    bundle = Bundle.open(iris)
    with ThreadPoolExecutor(1) as thread:
        with loader._line:
            other = thread.submit(loader.load_in_line, bundle)
            assert loader.load(bundle).version == bundle.version
            assert not other.done()
        assert other.result(TIMEOUT).version == bundle.version
