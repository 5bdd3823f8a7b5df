"""Compares keys and constant columns over all rows of a file and all stored events, in DuckDB."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from windlass.features.ingest.bucket_writer import ROW
from windlass.features.offline.parts import RESERVED_PREFIX

_REPEATED_IN_FILE = """
    SELECT row FROM new
    JOIN (SELECT key, min(row) AS first FROM new GROUP BY key HAVING count(*) > 1) USING (key)
    WHERE row > first
"""
_ALREADY_STORED = (
    "SELECT row FROM new WHERE key IN (SELECT key FROM stored SEMI JOIN new USING (key))"
)


def duplicate_rows(connection: Any, keys: Path, key: str, stored: Sequence[Path]) -> pl.Series:
    """Returns the numbers of the rows of `keys` whose key is stored already, or stands earlier in the file.

    DuckDB spills to disk what does not fit into its memory; of the stored keys it keeps only those that
    come again.
    """
    if not keys.exists():
        return pl.Series([], dtype=pl.Int64)
    name = quote_identifier(key)
    new = connection.read_parquet(str(keys)).project(f"{name} AS key, {ROW} AS row")
    new.create_view("new")
    duplicates = connection.sql(_REPEATED_IN_FILE)
    if stored:
        old = connection.read_parquet([str(part) for part in stored]).project(f"{name} AS key")
        old.create_view("stored")
        duplicates = duplicates.union(connection.sql(_ALREADY_STORED)).distinct()
    return pl.Series(duplicates.order("row").to_arrow_table().column("row"), dtype=pl.Int64)


def quote_identifier(column: str) -> str:
    """Returns a column's name quoted for SQL."""
    return '"' + column.replace('"', '""') + '"'


_NEW_ROWS = f"{RESERVED_PREFIX}new{RESERVED_PREFIX}"  # how many rows of the file


def changed_entities(
    connection: Any,
    keys: Path,
    entity: Sequence[str],
    constant: Sequence[str],
    stored: Sequence[Path],
    duplicates: pl.Series,
) -> dict[str, tuple[int, int]]:
    """Counts for each of the `constant` columns: entities of `keys` with several values, and their rows.

    `entity` are the columns that identify an entity.

    The rows counted are those of `keys`, without those whose numbers are `duplicates`. Values that are stored are
    compared too; nulls are not. DuckDB groups on disk what does not fit into its memory.
    """
    if not keys.exists():
        return {}
    identifying, varying = (
        [quote_identifier(name) for name in names] for names in (entity, constant)
    )
    chosen = ", ".join([*identifying, *varying])
    numbers = pl.DataFrame({ROW: duplicates}, schema={ROW: pl.Int64}).to_arrow()
    excluded = connection.from_arrow(numbers).set_alias("excluded")
    new = connection.read_parquet(str(keys)).set_alias("new_rows")
    rows = new.join(excluded, f"new_rows.{ROW} = excluded.{ROW}", how="anti")
    rows = rows.project(f"{chosen}, 1 AS {_NEW_ROWS}")
    if stored:
        old = connection.read_parquet([str(part) for part in stored]).set_alias("old_rows")
        condition = " AND ".join(f"old_rows.{name} = new_rows.{name}" for name in identifying)
        same = old.join(new, condition, how="semi")
        rows = rows.union(same.project(f"{chosen}, 0 AS {_NEW_ROWS}"))
    several = ", ".join(f"min({name}) <> max({name}) AS {name}" for name in varying)
    by_entity = ", ".join(identifying)
    entities = rows.aggregate(f"{by_entity}, sum({_NEW_ROWS}) AS {_NEW_ROWS}, {several}", by_entity)
    counts = [
        f"count_if({name}), coalesce(sum({_NEW_ROWS}) FILTER ({name}), 0)::BIGINT"
        for name in varying
    ]
    (numbers_by_column,) = entities.aggregate(", ".join(counts)).fetchall()
    return {name: numbers_by_column[2 * at : 2 * at + 2] for at, name in enumerate(constant)}
