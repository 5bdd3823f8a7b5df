"""Columns that are constant of an entity, over all rows of a file and what is stored: who has several values."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from windlass.features.dealing import ROW
from windlass.features.doubled import quoted
from windlass.features.parts import OWN

_NEW = f"{OWN}new{OWN}"  # how many rows of the file


def changed_entities(
    connection: Any, keys: Path, columns: Sequence[str], stored: Sequence[Path], doubled: pl.Series
) -> dict[str, tuple[int, int]]:
    """For each column but the first, the entity's: how many entities of `keys` have several values, and their rows.

    The rows counted are those of `keys`, without those whose numbers are `doubled`. Values that are stored are
    compared too; nulls are not. DuckDB groups on disk what does not fit into its memory.
    """
    if not keys.exists():
        return {}
    entity, *constant = (quoted(name) for name in columns)
    chosen = ", ".join([entity, *constant])
    numbers = pl.DataFrame({ROW: doubled}, schema={ROW: pl.Int64}).to_arrow()
    gone = connection.from_arrow(numbers).set_alias("gone")
    dealt = connection.read_parquet(str(keys)).set_alias("dealt")
    rows = dealt.join(gone, f"dealt.{ROW} = gone.{ROW}", how="anti")
    rows = rows.project(f"{chosen}, 1 AS {_NEW}")
    if stored:
        kept = connection.read_parquet([str(part) for part in stored]).set_alias("kept")
        same = kept.join(dealt, f"kept.{entity} = dealt.{entity}", how="semi")
        rows = rows.union(same.project(f"{chosen}, 0 AS {_NEW}"))
    several = ", ".join(f"min({name}) <> max({name}) AS {name}" for name in constant)
    entities = rows.aggregate(f"{entity}, sum({_NEW}) AS {_NEW}, {several}", entity)
    counts = [
        f"count_if({name}), coalesce(sum({_NEW}) FILTER ({name}), 0)::BIGINT" for name in constant
    ]
    (found,) = entities.aggregate(", ".join(counts)).fetchall()
    return {name: found[2 * at : 2 * at + 2] for at, name in enumerate(columns[1:])}
