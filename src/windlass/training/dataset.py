"""Reads a project's labelled rows, validates them against the declaration and computes their digest."""

import csv
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from windlass.core.batch import Batch
from windlass.core.compared_metrics import Truth
from windlass.core.csv_format import DEFAULT_CSV, CsvFormat
from windlass.core.error_descriptions import describe_error
from windlass.core.evaluation_rules import SplitRule
from windlass.core.hashing import canonical_json
from windlass.core.project import Project
from windlass.core.targets.classes import Classes
from windlass.errors import DataError, WindlassError, counted
from windlass.training.data_file import project_file, read_data_file
from windlass.training.repeated_rows import are_coarse, content_groups

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_DAY = 86_400_000_000  # microseconds
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})  # as libraries read cells of CSV


@dataclass(frozen=True)
class RowOrigin:
    """Origin of the `count` rows that data() returned; `file` is the data file of the training, if any."""

    file: Path | None
    count: int
    csv: CsvFormat = DEFAULT_CSV

    @property
    def location(self) -> str:
        """Text that names where a user corrects or drops rows."""
        return "data()" if self.file is None else f"{self.file}, or in data()"

    def row(self, number: int, column: str, value: Any) -> str:
        """Describe a row by the line of the file where it begins, if that is known; else by its number from 0.

        `value` is what the row holds in this column: data() may have sorted the file's rows, or made others.
        """
        if self.file is not None and self.file.suffix.lower() == ".csv":
            match = _find_line(self, number, column)
            if match is not None and _same_value(match[1], value):
                return f"line {match[0]} of {self.file.name}"
        return f"row {number} (counted from 0)"


def _find_line(origin: RowOrigin, number: int, column: str) -> tuple[int, str] | None:
    """Return the line where the row begins and its cell; None unless the file has as many rows and this column."""
    match, seen = None, 0
    encoding = "utf-8-sig" if origin.csv.encoding == "utf-8" else origin.csv.encoding
    assert origin.file is not None
    try:
        with origin.file.open(encoding=encoding, errors="replace", newline="") as text:
            rows = _csv_rows(text, origin.csv.delimiter)
            _, header = next(rows)
            at = header.index(column)
            for line, row in rows:
                if seen == number:
                    match = line, row[at]
                seen += 1
    except (OSError, csv.Error, StopIteration, ValueError, IndexError):
        return None
    return match if seen == origin.count else None


def _csv_rows(text: Any, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not blank, with the number of its first line, from 1."""
    reader = csv.reader(text, delimiter=delimiter)
    begins = 1
    for row in reader:
        if row:
            yield begins, row
        begins = reader.line_num + 1


def _same_value(text: str, value: Any) -> bool:
    text = text.strip()
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return text.lower() in _MISSING
    try:
        return float(text) == float(value)
    except (TypeError, ValueError):
        return text.lower() == str(value).strip().lower()


RowsReader = Callable[[], Any]  # reads the training rows of a feature view


@dataclass(frozen=True)
class Dataset:
    """Labelled rows: `batch` as a server would see them, `frame` as the estimator does.

    `truth` holds the target as metrics see it: indices of the declared classes int64 [n], numbers float64 [n], or of
    several outputs float64 [n, k]. `labels` [n] is the truth of a target of classes, else None. `extra_columns` holds
    what the split, the slices and groups are made by, and no model sees: a date or time by which it is split, weights,
    everything else as text. `undeclared` are the other columns that data() returned, as they were: only the data checks
    read them. `weights` float64 [n] are those of the fit.
    """

    batch: Batch
    frame: "pd.DataFrame"
    truth: Truth
    labels: NDArray[np.int64] | None
    digest: str
    extra_columns: "pa.Table"
    undeclared: "pa.Table"
    weights: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.batch)

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """Number of each row's content [n], as `content_groups` returns it."""
        return content_groups(self.batch)

    @cached_property
    def equal_by_chance(self) -> bool:
        """Whether the columns are so coarse that equal rows are no copies, as `are_coarse` decides."""
        return are_coarse(self.batch, self.groups)


def read_dataset(
    project: Project, file: Path | None = None, rows: RowsReader | None = None
) -> Dataset:
    """Read the project's data once, from `file` where one is named, of a feature view through `rows`.

    Raises DataError for rows that break the declaration, or a file that cannot be read.
    """
    from windlass.engines.native import to_frame

    table, undeclared, file = _read_table(project, file, rows)
    if table.num_rows == 0:
        raise DataError(f"data() of project {project.name!r} returned no rows.")
    origin = RowOrigin(file, table.num_rows, project.schema.csv)
    batch = _validate_rows(project, table, origin)
    truth = project.target.read(_TruthColumns(table, origin))
    labels = truth if isinstance(project.target, Classes) else None
    extra_columns = _read_extra_columns(project, table, origin)
    weights = _read_weights(project, extra_columns)
    digest = _digest(project, batch, truth, weights)
    frame = to_frame(project.schema, batch)
    return Dataset(batch, frame, truth, labels, digest, extra_columns, undeclared, weights)


def _read_table(
    project: Project, file: Path | None, rows: RowsReader | None
) -> tuple[Any, Any, Path | None]:
    """Returns the project's rows as Arrow tables, and the file that they were read from, where that is known.

    The tables have the declared columns (row, target, extra ones), and all others.
    """
    import pyarrow as pa

    if file is not None and not file.exists():
        raise DataError(
            f"There is no {file} to train {project.name!r} on. Name another file with --data."
        )
    data = _call_data(project, file, rows)
    if isinstance(data, str | Path):
        file = file if data == file else project_file(project, Path(data))
        data = read_data_file(project, file)
    try:
        table = data if isinstance(data, pa.Table) else pa.table(data)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(
            f"data() of project {project.name!r} returned a {type(data).__name__} that is not a table: {error}."
            " Return a pandas or polars DataFrame, a pyarrow Table, a dict of columns, or the path of a file."
        ) from error
    targets = project.target.columns
    if not project.target.IS_SUPERVISED:
        targets = tuple(name for name in targets if name in table.column_names)
    names = dict.fromkeys([*project.schema.names, *targets, *project.extra_columns])
    for name in names:
        if table.column_names.count(name) != 1:
            count = table.column_names.count(name)
            unknown = [other for other in table.column_names if other not in names]
            near = [] if count else get_close_matches(name, unknown, 1)
            hint = f" Did you mean {name!r} by {near[0]!r}?" if near else ""
            raise DataError(
                f"data() of project {project.name!r} returned {counted(count, 'column')} {name!r}, where one is"
                f" declared. It returned: {', '.join(table.column_names)}.{hint}"
            )
    undeclared = [
        index
        for index, name in enumerate(table.column_names)
        if name not in names and table.column_names.count(name) == 1
    ]
    return table.select(list(names)), table.select(undeclared), file


def _call_data(project: Project, file: Path | None, rows: RowsReader | None) -> Any:
    """Returns what data() returns; the file itself where one is named that data() does not take."""
    if file is not None and not project.takes_file:
        return file
    try:
        arguments = () if rows is None else (rows(),)
        return project.data(*arguments) if file is None else project.data(file=file)
    except WindlassError:
        raise
    except (Exception, SystemExit) as error:
        raise DataError(
            f"data() of project {project.name!r} failed: {describe_error(error)}."
        ) from error


def _read_extra_columns(project: Project, table: Any, origin: RowOrigin) -> Any:
    """The columns for split, slices and weights; of those that the split is made by none may be missing."""
    import pyarrow as pa

    rule = project.split or SplitRule()
    columns = {}
    for name in project.extra_columns:
        column = table.column(name)
        try:
            if name == rule.time:
                column = _times(column)
            elif name == project.sample_weight:
                column = column.cast(pa.float64())
            else:
                column = column.cast(pa.string())
        except pa.ArrowException as error:
            kinds = {rule.time: "dates or times", project.sample_weight: "numbers"}
            raise DataError(
                f"Column {name!r} of project {project.name!r} cannot be read as {kinds.get(name, 'text')}: {error}."
                " Return it as such from data()."
            ) from error
        if column.null_count and name in (*rule.columns, project.sample_weight):
            use = "by which rows are split" if name in rule.columns else "which weights them"
            raise DataError(
                f"Column {name!r} of project {project.name!r}, {use}, is missing in"
                f" {column.null_count} of {counted(len(column), 'row')}. Fill it in, or drop them, in"
                f" {origin.location}."
            )
        columns[name] = column
    return pa.table(columns)


def _times(column: Any) -> Any:
    """Returns dates, or times in microseconds where one has a time of day. Raises ArrowException."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_timestamp(column.type):
        try:
            return column.cast(pa.date32())
        except pa.ArrowException:
            column = column.cast(pa.timestamp("us"))
    micro = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
    days = pc.divide(micro, _DAY)
    is_dates = pc.all(pc.equal(pc.multiply(days, _DAY), micro)).as_py()
    return days.cast(pa.int32()).cast(pa.date32()) if is_dates else micro.cast(pa.timestamp("us"))


def _read_weights(project: Project, extra_columns: Any) -> NDArray[np.float64] | None:
    """Returns the weights [n] that the project declares. Raises DataError for one below 0 or not finite."""
    if project.sample_weight is None:
        return None
    weights: NDArray[np.float64] = extra_columns.column(project.sample_weight).to_numpy()
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong) or not weights.any():
        which = (
            f"row {wrong[0]} (counted from 0) has {weights[wrong[0]]}"
            if len(wrong)
            else "all are 0"
        )
        raise DataError(
            f"Column {project.sample_weight!r} of project {project.name!r} holds the weights of rows, which are"
            f" finite, 0 or more, and not all 0: {which}. Correct it in data()."
        )
    return weights


def _validate_rows(project: Project, table: Any, origin: RowOrigin) -> Batch:
    from windlass.tables.validate import validate_table

    checked = validate_table(project.schema, table.select(list(project.schema.names)))
    if not checked.problems:
        return checked.batch
    first = checked.problems[0]
    columns = dict.fromkeys(problem.column for problem in checked.problems)
    value = table.column(first.column)[first.row].as_py()
    raise DataError(
        f"{np.count_nonzero(checked.invalid)} of {counted(len(checked.invalid), 'row')} of project"
        f" {project.name!r} do not fit {project.schema.title}, in {', '.join(columns)}. The first is"
        f" {origin.row(first.row, first.column, value)},"
        f" {first.column}: {first.reason}. Correct or drop these rows in {origin.location}, or declare what"
        f" {first.column} may hold."
    )


@dataclass(frozen=True)
class _TruthColumns:
    """The columns of data()'s table that hold the target."""

    table: Any
    origin: RowOrigin

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def values(self, name: str) -> Sequence[Any] | None:
        if name not in self.table.column_names:
            return None
        values: list[Any] = self.table.column(name).to_pylist()
        return values

    def row(self, number: int, column: str, value: Any) -> str:
        return self.origin.row(number, column, value)

    @property
    def location(self) -> str:
        return self.origin.location


def _digest(
    project: Project, batch: Batch, truth: Truth, weights: NDArray[np.float64] | None
) -> str:
    """Return the SHA-256 over columns in declared order, target and weights: the same for every table library.

    First canonical JSON of names, kinds and the number of rows; numbers as little-endian float64 with
    one NaN and one zero; text as UTF-8, each value preceded by its length in bytes.
    """
    header = {
        "columns": [[column.name, column.kind] for column in project.schema.model_columns],
        **project.target.digest_header(),
        **({} if weights is None else {"weights": project.sample_weight}),
        "rows": len(batch),
    }
    digest = hashlib.sha256(canonical_json(header))
    for values in batch.numeric.T:
        digest.update(_plain_floats(values))
    for values in batch.text.T:
        for value in values:
            encoded = value.encode()
            digest.update(len(encoded).to_bytes(4, "little") + encoded)
    for values in truth.reshape(len(truth), -1).T:
        digest.update(_plain_floats(values.astype(np.float64)))
    if weights is not None:
        digest.update(_plain_floats(weights))
    return digest.hexdigest()


def _plain_floats(values: NDArray[np.float64]) -> bytes:
    plain = np.where(np.isnan(values), np.nan, values + 0.0)  # -0.0 + 0.0 is 0.0
    return plain.astype("<f8").tobytes()
