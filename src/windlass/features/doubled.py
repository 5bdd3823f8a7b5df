"""Doubled keys, over all rows of a file and all that are stored: the first stays, later ones are quarantined."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from windlass.features.dealing import ROW

_AGAIN = """
    SELECT row FROM new
    JOIN (SELECT key, min(row) AS first FROM new GROUP BY key HAVING count(*) > 1) USING (key)
    WHERE row > first
"""
_STORED = "SELECT row FROM new WHERE key IN (SELECT key FROM stored SEMI JOIN new USING (key))"


def doubled_rows(connection: Any, keys: Path, key: str, stored: Sequence[Path]) -> pl.Series:
    """The numbers of the rows of `keys` whose key is stored already, or stood further up in the file.

    DuckDB compares them, on disk where they do not fit into its memory; of what is stored, it keeps none but
    the keys that came again.
    """
    if not keys.exists():
        return pl.Series([], dtype=pl.Int64)
    name = quoted(key)
    new = connection.read_parquet(str(keys)).project(f"{name} AS key, {ROW} AS row")
    new.create_view("new")
    found = connection.sql(_AGAIN)
    if stored:
        old = connection.read_parquet([str(part) for part in stored]).project(f"{name} AS key")
        old.create_view("stored")
        found = found.union(connection.sql(_STORED)).distinct()
    return pl.Series(found.order("row").to_arrow_table().column("row"), dtype=pl.Int64)


def quoted(column: str) -> str:
    """A column's name as DuckDB's SQL has it."""
    return '"' + column.replace('"', '""') + '"'
