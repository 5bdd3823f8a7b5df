"""Computes states on this machine: DuckDB runs a view's transform part by part, within a memory limit.

`features_of_file` reads a whole raw file at once instead, for notebooks and measurements.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Any, Protocol, Self

import duckdb
import narwhals as nw
import polars as pl
import pyarrow as pa

from windlass.core.deprecation import warn_renamed
from windlass.core.error_descriptions import describe_error
from windlass.core.feature_view import FeatureView, ViewRecord
from windlass.errors import FeatureError, WindlassError
from windlass.features.ingest.contract import Contract
from windlass.features.offline.parts import normalise_states, sort_columns, sort_rows, to_utc
from windlass.features.offline.training_set import features_before


class DuckDBEngine:
    """`FeatureEngine` on DuckDB in this process, on an open connection, which stays open."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __enter__(self) -> "DuckDBEngine":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def compute_states(self, view: FeatureView, event_parts: Sequence[Path], into: Path) -> None:
        """Writes the states of all events of these parts into a folder. Raises FeatureError."""
        for part in event_parts:
            events = self._connection.read_parquet(str(part))
            relation = run_transform(view, events)
            with translate_duckdb_errors(f"compute the features of view {view.name}"):
                relation.write_parquet(str(into / part.name))


def snapshot_relation(
    parts: Sequence[Path], erased: pl.DataFrame | None, connection: Any = None
) -> Any:
    """Returns parts of a snapshot as a relation of DuckDB, in an open connection or a new one.

    Rows of `erased` entities, given as their columns, are left out.
    """
    relation = (connection or duckdb.connect()).read_parquet([str(part) for part in parts])
    for entity in () if erased is None else erased.iter_rows(named=True):
        equal = [
            duckdb.ColumnExpression(name) == duckdb.ConstantExpression(value)
            for name, value in entity.items()
        ]
        relation = relation.filter(~reduce(and_, equal))
    return relation


def check_memory(memory: str) -> None:
    """Raise FeatureError where a memory limit cannot be read, before any work is done."""
    _connect(memory, Path()).close()


def duckdb_connection(memory: str, folder: Path) -> closing[Any]:
    """Opens DuckDB with a memory limit, such as "2GB"; the rest spills to `folder`.

    Raises FeatureError where the limit cannot be read.
    """
    return closing(_connect(memory, folder))


@contextmanager
def translate_duckdb_errors(work: str) -> Iterator[None]:
    """Raises FeatureError where DuckDB fails at `work`, such as "compute the features"."""
    try:
        yield
    except duckdb.Error as error:
        line = str(error).splitlines()[0]
        raise FeatureError(
            f"DuckDB could not {work}: {line}. Give it more memory with --memory, or free some space on the disk."
        ) from error


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
            f"{memory!r} is not a memory limit. Use a number with a unit, such as 2GB."
        ) from error


def run_transform(view: FeatureView, events: Any) -> Any:
    """Applies a view's transform to a native lazy frame of events; returns the same kind. Raises FeatureError."""
    try:
        return nw.to_native(view.transform(nw.from_native(events)))
    except WindlassError:
        raise
    except Exception as error:
        raise FeatureError(
            f"The transform of view {view.name} failed: {describe_error(error)}."
            " It has to be a Narwhals function of a lazy frame."
        ) from error


def features_of_file(view: FeatureView, record: ViewRecord, file: Path) -> pa.Table:
    """Returns the features of every event of a raw Parquet file as they were before it, computed in memory.

    Rows are sorted by entity, timestamp and event id, the first columns: what training would read, were every
    row of the file good. Raises FeatureError where the view's transform fails.
    """
    events = pl.scan_parquet(file)
    names = events.collect_schema()
    contract = Contract.from_view(view)
    dtypes = {name: kind for name, kind in contract.dtypes.items() if name in names}
    dates = [
        pl.col(name).str.to_date("%Y-%m-%d")
        for name, kind in dtypes.items()
        if kind == pl.Date and names[name] == pl.String
    ]
    events = events.with_columns(dates)
    time = names[view.timestamp]
    if isinstance(time, pl.Datetime):
        events = events.with_columns(to_utc(pl.col(view.timestamp), time))
    states = run_transform(view, events).collect()
    times = [name for name, kind in contract.stored_dtypes.items() if kind == pl.Datetime]
    order = sort_columns(record)
    event_columns = [*order, *record.summed_columns] if record.window_features else order
    features = features_before(
        view,
        record,
        sort_rows(normalise_states(states, record, times), order),
        sort_rows(events.select(list(dict.fromkeys(event_columns))).collect(), order),
    )
    table: pa.Table = features.select(*sort_columns(record), *record.features).to_arrow(
        compat_level=pl.CompatLevel.oldest()
    )
    return table


def history_of(view: FeatureView, record: ViewRecord, file: Path) -> pa.Table:
    """The old name of `features_of_file`."""
    warn_renamed("history_of", "features_of_file", stacklevel=2)
    return features_of_file(view, record, file)


class FeatureEngine(Protocol):
    """Engine that runs a view's `transform` over parts of events, as a context manager.

    For every part it writes `into / part.name`, a Parquet file or a folder of them: what `transform` gives for the
    events of that part, in any order of rows and columns; no entity is in two parts. Types are the engine's
    own; `normalise_states` makes them equal.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def compute_states(self, view: FeatureView, event_parts: Sequence[Path], into: Path) -> None:
        """Writes the states of all events of these parts into a folder. Raises FeatureError."""
