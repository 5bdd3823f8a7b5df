"""States on this machine: a view's history run by DuckDB, part by part, within a memory limit.

`history_of` reads a whole raw file at once instead, for notebooks and measurements.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import duckdb
import narwhals as nw
import polars as pl
import pyarrow as pa

from windlass.core.feature_view import FeatureView, ViewRecord
from windlass.core.project_loader import describe_error
from windlass.errors import FeatureError, WindlassError
from windlass.features.ingest.contract import Contract
from windlass.features.io_errors import translate_duckdb_errors
from windlass.features.offline.parts import normalise_states, sort_columns, sort_rows
from windlass.features.offline.training_set import features_before


class DuckDBEngine:
    """DuckDB in this process. What does not fit into `memory` spills to `folder`."""

    def __init__(self, memory: str, folder: Path) -> None:
        self._connection = _connect(memory, folder)

    def __enter__(self) -> "DuckDBEngine":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def states(self, view: FeatureView, event_parts: Sequence[Path], into: Path) -> None:
        """Compute the states of all events of these parts. Raises FeatureError."""
        for part in event_parts:
            events = self._connection.read_parquet(str(part))
            relation = run_transform(view, events)
            with translate_duckdb_errors(f"compute the features of view {view.name}"):
                relation.write_parquet(str(into / part.name))


def check_memory(memory: str) -> None:
    """Raise FeatureError for a limit of memory that is none, before any work is done for it."""
    _connect(memory, Path()).close()


@contextmanager
def duckdb_connection(memory: str, folder: Path) -> Iterator[Any]:
    """A DuckDB that takes no more than `memory` and spills to `folder`.

    Raises FeatureError for a limit that is none.
    """
    connection = _connect(memory, folder)
    try:
        yield connection
    finally:
        connection.close()


def _connect(memory: str, folder: Path) -> Any:
    try:
        return duckdb.connect(
            config={
                "memory_limit": memory,
                "temp_directory": str(folder / "spill"),
                "threads": os.cpu_count() or 1,
                "preserve_insertion_order": False,
            }
        )
    except duckdb.Error as error:
        raise FeatureError(
            f"{memory!r} is no limit of memory. Use a number with a unit, such as 2GB."
        ) from error


def run_transform(view: FeatureView, events: Any) -> Any:
    """A view's history of native lazy events, native and lazy again. Raises FeatureError where it fails."""
    try:
        return nw.to_native(view.transform(nw.from_native(events)))
    except WindlassError:
        raise
    except Exception as error:
        raise FeatureError(
            f"The history of view {view.name} failed: {describe_error(error)}."
            " It has to be a Narwhals function of a lazy frame."
        ) from error


def features_of_file(view: FeatureView, record: ViewRecord, file: Path) -> pa.Table:
    """The features of every event of a raw Parquet file as they were when it happened, all in memory.

    By entity, time and key, and with these columns: what training would read, were every row of the file good.
    Raises FeatureError where the view's history fails.
    """
    events = pl.scan_parquet(file)
    names = events.collect_schema()
    dtypes = {name: kind for name, kind in Contract.from_view(view).dtypes.items() if name in names}
    dates = [
        pl.col(name).str.to_date("%Y-%m-%d")
        for name, kind in dtypes.items()
        if kind == pl.Date and names[name] == pl.String
    ]
    states = run_transform(view, events.with_columns(dates)).collect()
    known = features_before(
        view, record, sort_rows(normalise_states(states, record), sort_columns(record))
    )
    table: pa.Table = known.select(*sort_columns(record), *record.features).to_arrow(
        compat_level=pl.CompatLevel.oldest()
    )
    return table


ProgressCallback = Callable[[float, str], None]


class FeatureEngine(Protocol):
    """Runs a view's `history` over parts of events, between entering and leaving it.

    For every part it writes `into / part.name`, a Parquet file or a folder of them: what `history` gives for the
    events of that part, in any order of rows and columns; no entity is in two parts. Types are the engine's
    own; the store makes them equal.
    """

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def states(self, view: FeatureView, event_parts: Sequence[Path], into: Path) -> None:
        """Compute the states of all events of these parts. Raises FeatureError."""
