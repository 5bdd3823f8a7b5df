"""Computes states on a cluster: Spark runs a view's transform, one job for each part, several at once."""

from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from windlass.core.feature_view import FeatureView
from windlass.errors import FeatureError, counted
from windlass.features.engines.duckdb import run_transform
from windlass.features.engines.spark_session import (
    cancel_jobs,
    run_in_thread,
    spark_path,
    spark_session,
)


class SparkEngine:
    """`FeatureEngine` on the Spark cluster at `master`; see `spark_session`.

    Workers have to see the folders of events and states under the same paths: one shared file system.
    """

    def __init__(self, master: str | None = None) -> None:
        self._master = master
        self._entered = ExitStack()

    def __enter__(self) -> "SparkEngine":
        session = spark_session(self._master, "windlass features")
        self._session = self._entered.enter_context(session)
        return self

    def __exit__(self, *error: Any) -> None:
        self._entered.__exit__(*error)  # which translates Spark's errors

    def compute_states(self, view: FeatureView, event_parts: Sequence[Path], into: Path) -> None:
        """Writes the states of all events of these parts into a folder. Raises FeatureError."""
        at_once = max(1, min(len(event_parts), self._session.sparkContext.defaultParallelism))
        remaining = iter(event_parts)

        def work() -> None:
            for part in remaining:
                self._compute_part(view, part, into / part.name)

        threads = [run_in_thread(work) for _ in range(at_once)]
        try:
            for future in wait(threads, return_when=FIRST_EXCEPTION).done:
                future.result()
        except BaseException:
            cancel_jobs(self._session, threads)  # nothing may be written after this
            raise

    def _compute_part(self, view: FeatureView, events: Path, states: Path) -> None:
        frame = self._session.read.parquet(spark_path(events))
        run_transform(view, frame).write.parquet(spark_path(states))
        expected, written = _row_count([events]), _row_count(states.glob("*.parquet"))
        if written != expected:
            raise FeatureError(
                f"Spark's workers wrote {counted(written, 'state')} of {counted(expected, 'event')} to {states}."
                " Check that they share the disk of WINDLASS_HOME, and that the view's transform gives one row for"
                " each event."
            )


def _row_count(files: Iterable[Path]) -> int:
    return sum(pq.read_metadata(file).num_rows for file in files)
