"""MLflow's databases of forked trainings: copies of one whose tables were made once a run.

MLflow makes the tables of a new database by all its migrations, which takes longer than a training of the tests.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from windlass.training import mlflow as tracking

_SQLITE = "sqlite:///"


def copy_tracking_stores(template: Path) -> None:
    """Has the trainings of this process begin a new database as a copy of `template`, which the first of them makes."""
    write_run = tracking._write_run

    def write(record: Any, uri: str, home: Path) -> str:
        file = Path(uri.removeprefix(_SQLITE))
        if uri.startswith(_SQLITE) and file.exists():  # the home's, made empty with its rights
            with _locked(file):  # trainings that share a home begin it once
                if file.stat().st_size == 0:
                    shutil.copyfile(_migrated(template), file)
        return write_run(record, uri, home)

    tracking._write_run = write


def _migrated(template: Path) -> Path:
    with _locked(template.with_suffix(".lock")):
        if not template.exists():
            from mlflow import MlflowClient

            unfinished = template.with_suffix(".unfinished")
            MlflowClient(tracking_uri=f"{_SQLITE}{unfinished}").search_experiments()
            unfinished.rename(template)
    return template


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Holds a lock on a file, which is none of SQLite's own."""
    with file.open("ab") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
