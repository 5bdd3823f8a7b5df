"""Whether notebook and script agree: `notebook_check.py PROJECT [--clients 300]`; 1 where they do not.

Both compute the five features over the same made-up loans: PROJECT/notebook.py, as the data scientist left it, and the
project's feature view, as the product computes it. They have to be equal but for the notebook's known faults, which
PROJECT/README.md names: years of 365 days, which may make one more; who did not tell owns a car; a first day at work
that is a sentinel or still to come. What is known of the latter two is taken from the raw columns, not from either.
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

from windlass.core.project import Project
from windlass.core.project_loader import load_project
from windlass.features.offline.build import BuildOptions, build
from windlass.features.offline.snapshot import Snapshot
from windlass.features.offline.store import OfflineStore
from windlass.features.offline.training_set import training_rows
from windlass.training.plan import ignore_progress
from windlass.workflows.features import generate_events

TODAY = date(2021, 9, 17)  # when the attributes of the real file were taken
CLOSE = 1e-6  # of averages: the feature view adds whole millionths


def main() -> int:
    """Compute both, and tell each feature that differs."""
    asked = _arguments()
    project, source = load_project(asked.project)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "loans.parquet"
        generate_events(source.folder, file, asked.clients)
        snapshot = _built(project, file, Path(folder))
        theirs, ours = _notebooks(source.folder, snapshot), _ours(project, snapshot)
        known = _known(snapshot)
    both = ours.merge(theirs, on="loan_id", suffixes=("", "_notebook"), validate="one_to_one")
    both = both.merge(known, on="loan_id", validate="one_to_one")
    if not len(ours) == len(theirs) == len(both) > 0:
        print(f"notebook_check: {len(ours)} loans here, {len(theirs)} there", file=sys.stderr)
        return 1
    faults = list(_differences(both))
    for fault in faults:
        print(f"notebook_check: {fault}", file=sys.stderr)
    if not faults:
        print(f"notebook and features agree on {len(both):,} loans of {asked.clients:,} clients")
    return 1 if faults else 0


def _built(project: Project, file: Path, folder: Path) -> Snapshot:
    assert project.view is not None
    assert project.view_record is not None
    store = OfflineStore(folder / "store", project.name)
    return build(project.view, project.view_record, store, file, BuildOptions(), ignore_progress)


def _notebooks(folder: Path, snapshot: Snapshot) -> pd.DataFrame:
    """The notebook's features of the loans that passed, in the order of their ids, dates as a CSV file has them."""
    sys.path.insert(0, str(folder))
    compute = import_module("notebook").notebook_features
    loans = pl.read_parquet(snapshot.event_parts()).sort("loan_id")
    raw = loans.with_columns(pl.col(pl.Date).dt.to_string("%Y-%m-%d")).to_pandas()
    found: pd.DataFrame = compute(raw, pd.Timestamp(TODAY))
    return found


def _ours(project: Project, snapshot: Snapshot) -> pd.DataFrame:
    """Ours: those of history as training reads them, and those of the day as they are served on TODAY."""
    assert project.view is not None
    assert project.view_record is not None
    view, key = project.view_record, project.view.event_id
    states = pl.read_parquet(snapshot.state_parts())
    served = {
        name: pl.Series(
            [made.value_on(TODAY, {made.column: day}) for day in states[made.column]],
            dtype=pl.Int64,
        )
        for name, made in view.at_request.items()
    }
    rows = training_rows(project.view, view, snapshot).drop(*served)
    today = states.select(key).with_columns(**served)
    return rows.join(today, on=key).select(key, *view.features).to_pandas()


def _known(snapshot: Snapshot) -> pd.DataFrame:
    """Where the raw columns say something, and the notebook has numbers for the other rows too."""
    told = pl.col("flag_own_car").is_not_null()
    begun = (pl.col("job_start_date") <= TODAY).fill_null(False)  # the sentinel is far from it
    loans = pl.read_parquet(snapshot.event_parts())
    return loans.select(
        "loan_id", flag_own_car_known=told, years_on_the_job_known=begun
    ).to_pandas()


def _differences(both: pd.DataFrame) -> Iterator[str]:
    """The features that differ. The notebook may be above ours by `more`, and below by `less`."""
    for name, less, more in (
        ("nb_previous_loans", 0.0, 0.0),
        ("avg_amount_loans_previous", CLOSE, CLOSE),
        ("flag_own_car", 0.0, 0.0),
        ("age", 0.0, 1.0),
        ("years_on_the_job", 0.0, 1.0),
    ):
        ours, theirs = both[name].astype(float), both[f"{name}_notebook"].astype(float)
        differs = ~(theirs - ours).between(-less, more)  # a null beside a number differs
        if f"{name}_known" in both:
            known = both[f"{name}_known"]
            wrong = both[known & differs | ~known & ours.notna()]
        else:
            wrong = both[differs & (ours.notna() | theirs.notna())]
        if len(wrong):
            yield _told(name, wrong)


def _told(name: str, wrong: pd.DataFrame) -> str:
    first: Any = wrong.iloc[0]
    return (
        f"{name} differs for {len(wrong):,} loans; for loan {first['loan_id']} it is {first[name]}"
        f" by the feature view and {first[f'{name}_notebook']} by the notebook"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path, help="its folder")
    parser.add_argument("--clients", type=int, default=300, help="of the sample (default 300)")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
