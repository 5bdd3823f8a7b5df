"""Compares notebook and feature view: `notebook_check.py PROJECT [--clients 300]`. Returns 1 if they differ.

Both compute the five features of the same generated loans: PROJECT/notebook.py by the data scientist's logic, and the
project's feature view. They have to be equal, except for the notebook's faults that PROJECT/README.md names: years of
365 days, which may give one year more; a missing answer, which counts as owning a car; a first day at work that is a
sentinel or in the future. Whether the latter two apply is read from the raw columns.
"""

import argparse
import sys
from collections.abc import Iterator
from datetime import date
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import polars as pl

from windlass.core.progress import ignore_progress
from windlass.core.project import Project
from windlass.core.project_loader import load_project
from windlass.features.offline.build import BuildOptions, build
from windlass.features.offline.snapshot import Snapshot
from windlass.features.offline.store import OfflineStore
from windlass.features.offline.training_set import training_rows
from windlass.workflows.features import generate_events

TODAY = date(2021, 9, 17)  # when the attributes of the real file were taken
CLOSE = 1e-6  # of averages: the feature view adds whole millionths


def main() -> int:
    """Computes both, and prints each feature that differs."""
    options = _arguments()
    project, source = load_project(options.project)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "loans.parquet"
        generate_events(source.folder, file, options.clients)
        snapshot = _build(project, file, Path(folder))
        theirs, ours = (
            _notebook_features(source.folder, snapshot),
            _view_features(project, snapshot),
        )
        available = _available(snapshot)
    both = ours.merge(theirs, on="loan_id", suffixes=("", "_notebook"), validate="one_to_one")
    both = both.merge(available, on="loan_id", validate="one_to_one")
    if not len(ours) == len(theirs) == len(both) > 0:
        print(f"notebook_check: {len(ours)} loans here, {len(theirs)} there", file=sys.stderr)
        return 1
    faults = list(_differences(both))
    for fault in faults:
        print(f"notebook_check: {fault}", file=sys.stderr)
    if not faults:
        print(f"notebook and features agree on {len(both):,} loans of {options.clients:,} clients")
    return 1 if faults else 0


def _build(project: Project, file: Path, folder: Path) -> Snapshot:
    assert project.view is not None
    assert project.view_record is not None
    store = OfflineStore(folder / "store", project.name)
    return build(project.view, project.view_record, store, file, BuildOptions(), ignore_progress)


def _notebook_features(folder: Path, snapshot: Snapshot) -> pd.DataFrame:
    """Returns the notebook's features of the loans that passed, by loan id. It gets dates as text, as in a CSV file."""
    sys.path.insert(0, str(folder))
    compute = import_module("notebook").notebook_features
    loans = pl.read_parquet(snapshot.event_parts()).sort("loan_id")
    raw = loans.with_columns(pl.col(pl.Date).dt.to_string("%Y-%m-%d")).to_pandas()
    features: pd.DataFrame = compute(raw, pd.Timestamp(TODAY))
    return features


def _view_features(project: Project, snapshot: Snapshot) -> pd.DataFrame:
    """Returns the view's features: stored ones as training reads them, on-demand ones as they are served on TODAY."""
    assert project.view is not None
    assert project.view_record is not None
    view, key = project.view_record, project.view.event_id
    states = pl.read_parquet(snapshot.state_parts())
    served = {
        name: pl.Series(
            [feature.value_on(TODAY, {feature.column: day}) for day in states[feature.column]],
            dtype=pl.Int64,
        )
        for name, feature in view.since_features.items()
    }
    rows = training_rows(project.view, view, snapshot).drop(*served)
    today = states.select(key).with_columns(**served)
    return rows.join(today, on=key).select(key, *view.features).to_pandas()


def _available(snapshot: Snapshot) -> pd.DataFrame:
    """Returns in which rows the raw columns have a value; the notebook has numbers for the other rows too."""
    has_answer = pl.col("flag_own_car").is_not_null()
    has_started = (pl.col("job_start_date") <= TODAY).fill_null(
        False
    )  # the sentinel is in the future
    loans = pl.read_parquet(snapshot.event_parts())
    return loans.select(
        "loan_id", flag_own_car_available=has_answer, years_on_the_job_available=has_started
    ).to_pandas()


def _differences(both: pd.DataFrame) -> Iterator[str]:
    """Yields the features that differ. The notebook may be above the view by `more`, and below it by `less`."""
    for name, less, more in (
        ("nb_previous_loans", 0.0, 0.0),
        ("avg_amount_loans_previous", CLOSE, CLOSE),
        ("flag_own_car", 0.0, 0.0),
        ("age", 0.0, 1.0),
        ("years_on_the_job", 0.0, 1.0),
    ):
        ours, theirs = both[name].astype(float), both[f"{name}_notebook"].astype(float)
        differs = ~(theirs - ours).between(-less, more)  # a null beside a number differs
        if f"{name}_available" in both:
            available = both[f"{name}_available"]
            wrong = both[available & differs | ~available & ours.notna()]
        else:
            wrong = both[differs & (ours.notna() | theirs.notna())]
        if len(wrong):
            yield _describe(name, wrong)


def _describe(name: str, wrong: pd.DataFrame) -> str:
    first: Any = wrong.iloc[0]
    return (
        f"{name} differs for {len(wrong):,} loans; for loan {first['loan_id']} it is {first[name]}"
        f" by the feature view and {first[f'{name}_notebook']} by the notebook"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path, help="folder of the project")
    parser.add_argument(
        "--clients", type=int, default=300, help="number of clients in the sample (default 300)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
