"""A home whose registry knows three versions of Iris, and the command line upon it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import ROOT, BundleOf
from typer.testing import CliRunner

from windlass.cli.commands import app
from windlass.core.project_loader import load_project
from windlass.core.project_spec import ProjectSpec
from windlass.registry.registry import Registry
from windlass.settings import Settings

IRIS = ROOT / "examples" / "iris"
Call = Callable[..., "Ended"]


@dataclass(frozen=True)
class Ended:
    """How a command ended: its code, and what it wrote."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output, parsed."""
        return json.loads(self.out)


def call(*arguments: object) -> Ended:
    """`windlass` with these arguments, in this process."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return Ended(done.exit_code, done.stdout, done.stderr)


def fill(
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
