"""Reads the ledger of a project back as one table."""

import io
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from windlass.errors import LedgerError
from windlass.monitoring.ledger_record import (
    END_OF_STREAM,
    decode_line,
    decode_table,
    metadata_types,
)
from windlass.settings import Settings

_CHUNK_ROWS = 20_000  # of one chunk of the table


def read_ledger(project: str, home: "Path | str | None" = None) -> pa.Table:
    """Returns every prediction that `project` answered, oldest first, one row each.

    `home` is WINDLASS_HOME, or the nearest `.windlass` from the current folder upward, unless it is given.
    Columns: `prediction_id`, `request_id`, `predicted_at`, `model_version`, `latency_ms`, `prediction`,
    `probability_<class>` (classification), and the columns of the row. A record whose process died while
    writing it was never answered, and is left out. `.to_pandas()` makes a data frame of the table.
    Raises LedgerError where the project has no ledger, and for a record that was altered.
    """
    home = Settings.read().home if home is None else Path(home)
    folder = home / "ledger" / project
    if not folder.is_dir():
        raise LedgerError(
            f"Project {project!r} has no ledger in {home}. Serve it first, or set WINDLASS_HOME to its home."
        )
    tables: list[pa.Table] = []
    for segment in sorted(folder.iterdir()):
        with suppress(FileNotFoundError):  # retention removed it meanwhile
            if segment.suffix == ".jsonl":
                tables += _read_lines(segment)
            elif segment.suffix == ".arrows":
                tables += _read_streams(segment)
    if not tables:
        return pa.table({name: pa.array([], kind) for name, kind in metadata_types().items()})
    return pa.concat_tables(tables, promote_options="permissive").sort_by("predicted_at")


def _read_lines(segment: Path) -> Iterator[pa.Table]:
    rows: list[dict[str, Any]] = []
    with segment.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                break  # the process died here, before it answered
            try:
                rows += decode_line(line)
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                raise _altered(segment, f"line {number}") from error
            if len(rows) >= _CHUNK_ROWS:
                yield _table(rows)
                rows = []
    if rows:
        yield _table(rows)


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    kinds = metadata_types()
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table(
        {name: pa.array([row.get(name) for row in rows], kinds.get(name)) for name in names}
    )


def _read_streams(segment: Path) -> Iterator[pa.Table]:
    content = segment.read_bytes()
    source = io.BytesIO(content)
    while (start := source.tell()) < len(content):
        try:
            stream = pa.ipc.open_stream(source).read_all()
        except (pa.ArrowInvalid, OSError) as error:
            # where the last record is complete, this is another
            if content.endswith(END_OF_STREAM):
                raise _altered(segment, f"the record at byte {start}") from error
            return  # the process died here, before it answered
        if content[source.tell() - len(END_OF_STREAM) : source.tell()] != END_OF_STREAM:
            return  # here too, with every row written but the end
        yield decode_table(stream)


def _altered(segment: Path, record: str) -> LedgerError:
    return LedgerError(
        f"{segment}: {record} is not as it was written. Restore the file from a copy, or move it out of the folder to"
        " read the others."
    )
