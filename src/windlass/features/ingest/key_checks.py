"""Doubled keys, over all rows of a file and all that are stored: the first stays, later ones are quarantined."""

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
    """The numbers of the rows of `keys` whose key is stored already, or stood further up in the file.

    DuckDB compares them, on disk where they do not fit into its memory; of what is stored, it keeps none but
    the keys that came again.
    """
    if not keys.exists():
        return pl.Series([], dtype=pl.Int64)
    name = quote_identifier(key)
    new = connection.read_parquet(str(keys)).project(f"{name} AS key, {ROW} AS row")
    new.create_view("new")
    found = connection.sql(_REPEATED_IN_FILE)
    if stored:
        old = connection.read_parquet([str(part) for part in stored]).project(f"{name} AS key")
        old.create_view("stored")
        found = found.union(connection.sql(_ALREADY_STORED)).distinct()
    return pl.Series(found.order("row").to_arrow_table().column("row"), dtype=pl.Int64)


def quote_identifier(column: str) -> str:
    """A column's name as DuckDB's SQL has it."""
    return '"' + column.replace('"', '""') + '"'


_NEW_ROWS = f"{RESERVED_PREFIX}new{RESERVED_PREFIX}"  # how many rows of the file


def changed_entities(
    connection: Any,
    keys: Path,
    columns: Sequence[str],
    stored: Sequence[Path],
    duplicates: pl.Series,
) -> dict[str, tuple[int, int]]:
    """For each column but the first, the entity's: how many entities of `keys` have several values, and their rows.

    The rows counted are those of `keys`, without those whose numbers are `doubled`. Values that are stored are
    compared too; nulls are not. DuckDB groups on disk what does not fit into its memory.
    """
    if not keys.exists():
        return {}
    entity, *constant = (quote_identifier(name) for name in columns)
    chosen = ", ".join([entity, *constant])
    numbers = pl.DataFrame({ROW: duplicates}, schema={ROW: pl.Int64}).to_arrow()
    gone = connection.from_arrow(numbers).set_alias("gone")
    bucket_writer = connection.read_parquet(str(keys)).set_alias("dealt")
    rows = bucket_writer.join(gone, f"dealt.{ROW} = gone.{ROW}", how="anti")
    rows = rows.project(f"{chosen}, 1 AS {_NEW_ROWS}")
    if stored:
        kept = connection.read_parquet([str(part) for part in stored]).set_alias("kept")
        same = kept.join(bucket_writer, f"kept.{entity} = dealt.{entity}", how="semi")
        rows = rows.union(same.project(f"{chosen}, 0 AS {_NEW_ROWS}"))
    several = ", ".join(f"min({name}) <> max({name}) AS {name}" for name in constant)
    entities = rows.aggregate(f"{entity}, sum({_NEW_ROWS}) AS {_NEW_ROWS}, {several}", entity)
    counts = [
        f"count_if({name}), coalesce(sum({_NEW_ROWS}) FILTER ({name}), 0)::BIGINT"
        for name in constant
    ]
    (found,) = entities.aggregate(", ".join(counts)).fetchall()
    return {name: found[2 * at : 2 * at + 2] for at, name in enumerate(columns[1:])}
