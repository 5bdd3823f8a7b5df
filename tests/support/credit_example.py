"""The credit-risk example, what it makes up, the snapshot of that and both of its candidates: made once a file."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.support.paths import ROOT

from windlass.core.bundle import Bundle
from windlass.core.progress import ignore_progress
from windlass.core.project import Project
from windlass.core.project_loader import load_project
from windlass.features.offline.build import BuildOptions, build
from windlass.features.offline.snapshot import Snapshot
from windlass.features.offline.store import OfflineStore
from windlass.features.offline.training_set import training_rows
from windlass.settings import Settings
from windlass.training.plan import TrainingRequest
from windlass.workflows.features import ENTITIES, SEED
from windlass.workflows.train import train

CREDIT = ROOT / "examples" / "credit_risk"
README = (CREDIT / "README.md").read_text(encoding="utf-8")
REAL = ROOT.parent / "shared" / "data" / "credit_risk"
SAMPLE = REAL / "sample_400_clients.csv"
needs_sample = pytest.mark.skipif(not SAMPLE.exists(), reason=f"needs {SAMPLE}")
MODELS = ("boosting", "forest_smote")
OWN = ("contract", "features", "generate", "notebook", "population")
DATES = ["birthday", "job_start_date", "loan_date"]


@dataclass(frozen=True)
class Example:
    """The example's modules."""

    project: Project
    generate: Any
    notebook: Any
    contract: Any


@pytest.fixture(scope="module")
def example() -> Iterator[Example]:
    """The example, as its folder imports it; other examples may have modules of the same names."""
    before = {name: sys.modules.pop(name) for name in OWN if name in sys.modules}
    project = load_project(CREDIT)[0]
    sys.path.insert(0, str(CREDIT))
    import contract
    import generate
    import notebook

    sys.path.remove(str(CREDIT))
    yield Example(project, generate, notebook, contract)
    for name in OWN:
        sys.modules.pop(name, None)
    sys.modules.update(before)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def raw(example: Example, home: Path) -> Path:
    """What a build makes up where no file is named."""
    file = home / "loans.parquet"
    example.generate.generate(ENTITIES, SEED, file)
    return file


def build_snapshot(project: Project, home: Path, file: Path) -> Snapshot:
    assert project.view is not None
    assert project.view_record is not None
    store = OfflineStore.from_settings(Settings(home=home), project.name)
    return build(project.view, project.view_record, store, file, BuildOptions(), ignore_progress)


@pytest.fixture(scope="module")
def snapshot(example: Example, home: Path, raw: Path) -> Snapshot:
    return build_snapshot(example.project, home, raw)


@pytest.fixture(scope="module")
def bundles(example: Example, home: Path, snapshot: Snapshot) -> dict[str, Bundle]:
    """Each candidate with its defaults, trained on the snapshot."""
    source = load_project(CREDIT)[1]

    def trained(model: str) -> Bundle:
        request = TrainingRequest(home / model, model, track=False, snapshot=snapshot.number)
        return train(example.project, source, request, Settings(home=home)).bundle

    return {model: trained(model) for model in MODELS}


@pytest.fixture(scope="module")
def labelled(example: Example, snapshot: Snapshot) -> pl.DataFrame:
    """What training reads."""
    project = example.project
    assert project.view is not None
    assert project.view_record is not None
    frame: pl.DataFrame = project.data(training_rows(project.view, project.view_record, snapshot))
    return frame
