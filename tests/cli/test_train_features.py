"""`windlass train` of a project with a feature view."""

from pathlib import Path

import pytest
from tests.support.child_process import Finished
from tests.support.cli import run_cli
from tests.support.loan_view import PROJECT_VIEW, VIEW, make_loans
from tests.support.paths import ROOT, project_folder

from windlass.core.bundle import Bundle
from windlass.core.progress import ignore_progress
from windlass.features.offline.build import BuildOptions, build
from windlass.features.offline.store import OfflineStore
from windlass.settings import Settings

LENDER = project_folder("lender")


def train(home: Path, *arguments: object) -> Finished:
    """`windlass train` of the lender's project."""
    return run_cli("train", LENDER, "--no-track", *arguments, home=home, PYTHONPATH=str(ROOT))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with two equal snapshots of the lender's loans."""
    store = OfflineStore.from_settings(Settings(home=tmp_path), "lender")
    make_loans(400, seed=1).write_parquet(tmp_path / "raw.parquet")
    for _ in range(2):
        build(VIEW, PROJECT_VIEW, store, tmp_path / "raw.parquet", BuildOptions(), ignore_progress)
    return tmp_path


def test_the_named_snapshot_is_trained_on_and_rare_positives_are_warned_of(
    home: Path,
) -> None:
    options = ("--snapshot", 1, "--test-size", 0.4, "--artifacts", home / "bundle")
    ended = train(home, *options)
    assert ended.code == 0, ended.err
    assert f"snapshot = 1, view = {PROJECT_VIEW.version}" in ended.out
    params = Bundle.open(home / "bundle").json("params.json")
    assert (params["snapshot"], params["view"]) == (1, PROJECT_VIEW.version)
    names = [line.split("  ")[0] for line in ended.out.splitlines()]
    rare = ["average precision", "ROC AUC", "cost per row", "threshold", "Brier"]
    assert names[3 : 3 + len(rare)] == rare
    assert names.index("accuracy") > names.index("cost per row")


def test_without_features_the_command_that_makes_them_is_named(tmp_path: Path) -> None:
    ended = train(tmp_path, "--artifacts", tmp_path / "bundle")
    assert (ended.code, ended.out) == (1, "")
    last = ended.err.splitlines()[-1]
    assert last.startswith(
        "windlass: Project lender has no features yet. Run `windlass features build lender`"
    )
    assert not (tmp_path / "bundle").exists()
