"""Registries over several databases and stores, and a cheap one for what does not depend on them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.services import REGISTRY_BACKENDS, migrated_home, registry_settings
from tests.support.small_bundles import LOAN, Train

from windlass.registry.registry import Registry
from windlass.registry.version import Version
from windlass.settings import Settings


@pytest.fixture(params=REGISTRY_BACKENDS)
def every_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of an empty registry, over each database and each store."""
    return registry_settings(request.param, request, tmp_path / "home")


@pytest.fixture
def every_registry(every_settings: Settings) -> Iterator[Registry]:
    """An empty registry, over each database and each store, which knows of the project `loan`."""
    yield from _opened(every_settings)


@pytest.fixture
def registry(tmp_path: Path, sqlite_template: Path) -> Iterator[Registry]:
    """An empty registry in a home folder, which knows of the project `loan`."""
    yield from _opened(migrated_home(tmp_path / "home", sqlite_template))


def _opened(settings: Settings) -> Iterator[Registry]:
    registry = Registry.open(settings)
    registry.declare(LOAN.declared())
    yield registry
    registry.close()


@pytest.fixture
def train(tmp_path: Path) -> Train:
    """Seals a bundle and registers it: `train(registry, accuracy=…, by=…)`."""
    created = 0

    def register(
        registry: Registry, *, by: str = "ann", job: str | None = None, **bundle: float
    ) -> Version:
        nonlocal created
        created += 1
        folder = LOAN.sealed(tmp_path / f"trained-{created}", **bundle)
        return registry.register(folder, trained_by=by, job_id=job)

    return register
