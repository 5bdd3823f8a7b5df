"""Tables that projects are made from: columns of text, and CSV files written in place."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from windlass.core.csv_format import CsvFormat
from windlass.scaffold.column_inference import infer_column
from windlass.scaffold.column_profile import ColumnProfile
from windlass.scaffold.source_table import SourceColumn, read_source
from windlass.scaffold.table_inference import TableProfile, infer_table


def source_column(
    texts: Sequence[str | None], name: str = "x", stored_as: str | None = None
) -> SourceColumn:
    """A column of these cells."""
    encoded = pa.array(texts, pa.large_string()).dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return SourceColumn(name, encoded.dictionary, codes, stored_as)


def profile_of(
    texts: Sequence[str | None], name: str = "x", stored_as: str | None = None, **csv: str
) -> ColumnProfile:
    """What is inferred of a column of these cells."""
    return infer_column(source_column(texts, name, stored_as), CsvFormat(**csv))


def write_csv(folder: Path, text: str, encoding: str = "utf-8", name: str = "table.csv") -> Path:
    """A CSV file with this text."""
    file = folder / name
    file.write_bytes(text.encode(encoding))
    return file


def table_of(file: Path, target: str = "y") -> TableProfile:
    """What is inferred of a file."""
    return infer_table(read_source(file), target)
