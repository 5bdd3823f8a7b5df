"""A registry in a home folder of its own, with versions of projects that a test registers and decides about."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.altered_bundles import change_json, copy_bundle
from tests.support.server import FLOWER, Server, post
from tests.support.trained_bundles import BundleOf
from tests.support.waiting import wait_until

from windlass.core.bundle import MANIFEST, Bundle
from windlass.core.project_spec import ProjectSpec
from windlass.registry.registry import Registry
from windlass.settings import Settings

WHO = {"actor": "tester", "reason": "a test"}


class RegistryHome:
    """The registry of a home folder, and the bundles registered in it."""

    def __init__(self, home: Path, **settings: Any) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.settings = Settings(home=home, **settings)
        self.registry = Registry.open(self.settings)

    def add(self, bundle: Path, project: str = "iris", folder: Path | None = None) -> str:
        """Register a bundle; the name of its version."""
        where = str((folder or self.home / "nowhere").resolve())
        self.registry.declare(ProjectSpec(name=project, folder=where))
        return self.registry.register(bundle, trained_by="somebody").name

    def approve(self, name: str, project: str = "iris") -> float:
        """Approve a version; when."""
        return self.registry.approve(project, name, **WHO).decided_at

    def rollback(self, to: str | None = None, project: str = "iris") -> float:
        """Roll back; when."""
        return self.registry.rollback(project, to, **WHO).decided_at

    def live(self, bundle: Path, project: str = "iris") -> str:
        """Register a bundle and approve it; the name of its version."""
        name = self.add(bundle, project)
        self.approve(name, project)
        return name

    def folder(self, name: str, project: str = "iris") -> Path:
        """Where a version's bundle is kept."""
        return self.home / "models" / project / name

    def close(self) -> None:
        """Let go of the database."""
        self.registry.close()


def altered_copy(bundle: Path, target: Path, alter: Callable[[Any], None] | None = None) -> Path:
    """A copy that is another version; `alter` changes its reference examples, so that it fails its self-test."""
    shutil.rmtree(target, ignore_errors=True)
    copy = copy_bundle(bundle, target)
    if alter is not None:
        return change_json(copy, "golden.json", alter)
    return change_json(copy, MANIFEST, lambda m: m.update(created=f"{m['created']} {target.name}"))


def other_bundle(bundle_of: BundleOf) -> Path:
    """Iris by a logistic regression that gives every row other probabilities than `iris` does."""
    return bundle_of("iris", hyperparameters={"C": 10.0})


def change_label(examples: Any) -> None:
    """Reference examples that no model reproduces."""
    examples["expected"][0]["label"] = "virginica"


def wait_for_log(server: Server, event: str, least: int = 0) -> list[dict[str, Any]]:
    """What a server logged of this event, once it is `least` lines: a thread of it writes them."""
    wait_until(lambda: len(server.lines(event)) >= least, f"{least} times {event}")
    return server.lines(event)


def status_of(server: Server, project: str = "iris") -> Any:
    """What `/status` says of a project."""
    return server.client.get(f"/{project}/status").json()


def until_live(server: Server, name: str, project: str = "iris") -> float:
    """Return once this version answers; how many seconds that took."""
    return wait_until(
        lambda: bool(status_of(server, project)["live_version"] == name),
        f"{project} {name} live; the log: {server.log.read_text()[-2000:]}",
    )


def version_of(server: Server) -> str:
    """Who answers, on a connection of its own; "" where nobody does, as yet."""
    try:
        with server.connect() as connection:
            connection.sendall(post("/predict", json.dumps(FLOWER).encode(), "Connection: close"))
            return str(connection.answer().json().get("model_version", ""))
    except (OSError, EOFError):
        return ""


def digest_of(bundle: Path) -> str:
    """A bundle's digest."""
    return Bundle.open(bundle).digest


def answer_probabilities(body: str | bytes) -> tuple[str, tuple[float, ...]]:
    """Which version an answer names, and the probabilities that it gives, to ten digits."""
    answer = json.loads(body)
    given = answer["class_probabilities"].values()
    return answer["model_version"], tuple(round(share, 10) for share in given)


@pytest.fixture
def registry_home(tmp_path: Path) -> Iterator[RegistryHome]:
    """An empty registry."""
    home = RegistryHome(tmp_path / "home")
    yield home
    home.close()
