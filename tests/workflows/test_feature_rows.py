"""Training on what a snapshot says was known at each event: the newest one, or the very one that is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.support.loan_view import PROJECT_VIEW, VIEW, make_loans
from tests.support.paths import project_folder

from windlass.core.bundle import Bundle
from windlass.core.progress import ignore_progress
from windlass.core.project_loader import load_project
from windlass.errors import FeatureError
from windlass.features.offline.build import BuildOptions, build
from windlass.features.offline.store import OfflineStore
from windlass.registry.comparison import compare
from windlass.settings import Settings
from windlass.training.plan import TrainingRequest
from windlass.workflows.train import train
from windlass.workflows.verify import verify

LENDER = project_folder("lender")
LOANS = make_loans(400, seed=1)
Train = Callable[..., Bundle]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def built(home: Path) -> Callable[..., None]:
    """Build a snapshot of loans, or append them."""

    def make(loans: pl.DataFrame, *, append: bool = False) -> None:
        store = OfflineStore.from_settings(Settings(home=home), "lender")
        home.mkdir(exist_ok=True)
        loans.write_parquet(home / "raw.parquet")
        options = BuildOptions(append=append)
        build(VIEW, PROJECT_VIEW, store, home / "raw.parquet", options, ignore_progress)

    return make


@pytest.fixture
def trained(home: Path, tmp_path: Path) -> Train:
    def make(name: str, **options: Any) -> Bundle:
        request = TrainingRequest(tmp_path / name, test_size=0.4, track=False, **options)
        return train(*load_project(LENDER), request, Settings(home=home)).bundle

    return make


def test_the_newest_snapshot_is_read_and_named(built: Callable[..., None], trained: Train) -> None:
    built(LOANS)
    bundle = trained("one")
    params = bundle.json("params.json")
    assert (params["snapshot"], params["view"]) == (1, PROJECT_VIEW.version)
    metrics = bundle.json("metrics.json")
    assert 0 < metrics["train_rows"] + metrics["test_rows"] < LOANS.height
    assert {"calibration.json", "fairness.json"} <= set(bundle.manifest.files)
    card = bundle.read("card.md").decode()
    assert f"view `clients`, version `{PROJECT_VIEW.version}`" in card
    assert "snapshot 1." in card


def test_a_snapshot_that_is_named_gives_the_same_training_for_ever(
    built: Callable[..., None], trained: Train, home: Path
) -> None:
    early = LOANS["loan_date"] < LOANS["loan_date"].median()
    built(LOANS.filter(early))
    first = trained("first")
    built(LOANS.filter(~early), append=True)
    again, newest = trained("again", snapshot=1), trained("newest")
    for name in ("params.json", "metrics.json", "holdout.npz", "fairness.json"):
        assert again.read(name) == first.read(name)
    assert again.manifest.data_digest == first.manifest.data_digest
    assert newest.json("params.json")["snapshot"] == 2
    assert newest.manifest.data_digest != first.manifest.data_digest
    for bundle in (first, newest):
        assert verify(bundle.path, LENDER, settings=Settings(home=home)).equal


def test_versions_of_two_snapshots_are_compared_on_what_both_held_out(
    built: Callable[..., None], trained: Train
) -> None:
    days = LOANS["loan_date"].sort()
    built(LOANS.filter(pl.col("loan_date") < days[int(0.9 * len(days))]))
    first = trained("first")
    built(LOANS.filter(pl.col("loan_date") >= days[int(0.9 * len(days))]), append=True)
    second = trained("second", hyperparameters={"C": 0.01}, seed=7)
    comparison = compare(second, first)
    sizes = [bundle.json("metrics.json")["test_rows"] for bundle in (first, second)]
    assert 0.5 * min(sizes) < comparison.rows < max(sizes)
    assert comparison.relabelled == 0
    assert comparison.metric("average_precision") is not None


def test_without_a_snapshot_the_error_names_the_command(trained: Train) -> None:
    with pytest.raises(
        FeatureError, match=r"lender has no features yet. Run `windlass features build lender`"
    ):
        trained("none")


def test_a_snapshot_that_is_not_there_is_refused(
    built: Callable[..., None], trained: Train
) -> None:
    built(LOANS)
    with pytest.raises(FeatureError, match="no snapshot 7; the newest is 1"):
        trained("none", snapshot=7)


def test_a_snapshot_of_another_view_is_refused(
    built: Callable[..., None], trained: Train, home: Path
) -> None:
    other = PROJECT_VIEW.model_copy(update={"version": "0" * 12})
    home.mkdir()
    LOANS.write_parquet(home / "raw.parquet")
    store = OfflineStore.from_settings(Settings(home=home), "lender")
    build(VIEW, other, store, home / "raw.parquet", BuildOptions(), ignore_progress)
    with pytest.raises(FeatureError, match=f"version {'0' * 12} .* is {PROJECT_VIEW.version} now"):
        trained("none")
