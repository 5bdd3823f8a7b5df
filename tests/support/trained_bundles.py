"""Bundles of real projects, trained once a run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.paths import project_folder
from tests.support.shared_resources import SharedResources

from windlass.core.project_loader import load_project
from windlass.settings import Settings
from windlass.training.plan import TrainingRequest
from windlass.workflows.train import train

BundleOf = Callable[..., Path]


@pytest.fixture(scope="session")
def bundle_of(shared: SharedResources) -> BundleOf:
    """The bundle of a project (`iris`, or one of tests/projects), trained once a run; nobody may change it."""

    def bundle(name: str, **request: Any) -> Path:
        def make(target: Path) -> None:
            project, source = load_project(project_folder(name))
            wanted = TrainingRequest(artifacts=target, track=False, **request)
            train(project, source, wanted, Settings(home=target.with_suffix(".home")))

        return shared.path("-".join(["bundle", name, *map(str, request.values())]), make)

    return bundle


@pytest.fixture(scope="session")
def iris(bundle_of: BundleOf) -> Path:
    """Logistic regression on Iris: ONNX, inline."""
    return bundle_of("iris")
