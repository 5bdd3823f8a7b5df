"""A home whose registry has three versions of Iris."""

from pathlib import Path

from tests.support.paths import IRIS
from tests.support.trained_bundles import BundleOf

from windlass.core.project_loader import load_project
from windlass.core.project_spec import ProjectSpec
from windlass.registry.registry import Registry
from windlass.settings import Settings


def register_three_versions(
    home: Path, bundle_of: BundleOf, *, policy: str = "manual", trained_by: str = "ana"
) -> None:
    """Register three trainings of Iris in `home`, each a candidate; gates of the third do not pass."""
    project, source = load_project(IRIS)
    declaration = ProjectSpec.from_project(project, source).model_copy(update={"policy": policy})
    registry = Registry.open(Settings(home=home))
    registry.declare(declaration)
    for seed in (1, 2, 3):
        registry.register(bundle_of("iris", seed=seed), trained_by=trained_by)
    registry.close()
