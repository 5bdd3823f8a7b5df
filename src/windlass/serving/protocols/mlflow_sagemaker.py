"""Protocol of MLflow's scoring server and of SageMaker's container: `POST /invocations`."""

import csv
import io
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from windlass._version import __version__
from windlass.core.csv_format import CsvFormat
from windlass.core.row_schema import ColumnKind
from windlass.core.row_validator import Values
from windlass.errors import RowsError
from windlass.serving.batch_answer import STEP_ROWS, BatchAnswer
from windlass.serving.json_reader import JsonReader
from windlass.serving.model import ServedModel
from windlass.serving.predict import MAX_JSON_ROWS, Predictor, Rows, too_many_rows
from windlass.serving.protocols.kserve_v1 import encode_predictions
from windlass.serving.protocols.rows import (
    not_a_list,
    open_object,
    read_rows,
    row_from_values,
    validate_rows,
)
from windlass.web.messages import Request, Response
from windlass.web.problems import Problem, invalid, malformed, unsupported

_SPLIT = "dataframe_split"
_FORMATS = (_SPLIT, "dataframe_records", "instances", "inputs")
_ACCEPTED = ("application/json", "text/csv")


class ScoringServer:
    """Scoring routes of a server of one project."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    async def version(self, _: Request) -> Response:
        """Answers `GET /version`: the version of this software, as plain text."""
        return Response(__version__.encode(), b"text/plain")

    async def invoke(self, request: Request) -> Response:
        """Answers `POST /invocations`: rows in one of MLflow's formats, or CSV; the predictions in order."""
        kind = request.media_type()
        if kind not in (*_ACCEPTED, ""):
            raise unsupported(_ACCEPTED)
        body = await request.body()
        model = await self._predictor.resolve_model(request)

        read = partial(_csv_rows if kind == "text/csv" else _json_rows, body=body)
        encode = _csv_answer if _wants_csv(request) else encode_predictions
        return await self._predictor.predict_rows(request, model, read, encode, len(body))


def _wants_csv(request: Request) -> bool:
    """Returns whether `Accept` names CSV before JSON. JSON is the answer to anything else."""
    for item in request.accept.decode("latin-1").split(","):
        kind = item.partition(";")[0].strip().lower()
        if kind in ("application/json", "application/*", "*/*"):
            return False
        if kind in ("text/csv", "text/*"):
            return True
    return False


def _csv_answer(answer: BatchAnswer, _: bytes) -> Response:
    """Returns one prediction for each line, without a header, as SageMaker's own containers do."""
    sink = io.StringIO()
    lines = (_cells(instance) for instance in answer.instances())
    csv.writer(sink, lineterminator="\n").writerows(lines)
    return Response(sink.getvalue().encode(), b"text/csv")


def _cells(instance: Any) -> list[Any]:
    """Returns the cells of a line: an object has one for each of its members."""
    if isinstance(instance, dict):
        return [cell for value in instance.values() for cell in _cells(value)]
    return [instance]


def _json_rows(model: ServedModel, body: bytes) -> Iterator[Rows]:
    """Yields the rows of a body in one of MLflow's formats. Raises Problem 400, 413 or 422."""
    reader, formats = open_object(model, body), 0
    for name in reader.members():
        formats += name in _FORMATS
        if formats > 1 or name not in (*_FORMATS, "params"):
            raise _not_one_format()
        if name == "params":
            reader.value()
        else:
            yield from _rows_in_format(model, reader, name)
    reader.end()
    if not formats:
        raise _not_one_format()


def _rows_in_format(model: ServedModel, reader: JsonReader, name: str) -> Iterator[Rows]:
    if name == "dataframe_split":
        return _split_rows(model, reader)
    if name == "inputs" and reader.peek() == b"{":
        return _column_rows(model, reader)
    return read_rows(model, reader, name)


def _not_one_format() -> Problem:
    return malformed(f"The body needs exactly one of {', '.join(_FORMATS)}, and may have params.")


def _split_rows(model: ServedModel, reader: JsonReader) -> Iterator[Rows]:
    """Yields the rows of `{"columns": […], "data": [[…], …]}`, whose columns are in any order.

    Data that comes before its columns is passed over, and read afterwards.
    """
    if reader.peek() != b"{":
        raise invalid([{"loc": [_SPLIT], "msg": "Input should be an object"}])
    names: Sequence[str] | None = None
    passed: int | None = None  # where the data is that came before its columns
    is_read = False
    for name in reader.members():
        if name == "columns":
            names = _column_names(reader.value())
        elif reader.peek() != b"[":
            reader.value()
            if name == "data":
                raise not_a_list([_SPLIT, name])
        elif name == "data" and names is not None:
            is_read = True
            yield from _data_rows(model, reader, names)
        else:
            passed = reader.at if name == "data" else passed
            for _ in reader.elements():  # data, or pandas' index
                pass
    if is_read:
        return
    if names is None or passed is None:
        raise not_a_list([_SPLIT, "columns" if names is None else "data"])
    end, reader.at = reader.at, passed
    yield from _data_rows(model, reader, names)
    reader.at = end


def _column_names(names: Any) -> Sequence[str]:
    if not isinstance(names, list):
        raise not_a_list([_SPLIT, "columns"])
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise invalid(
            [{"loc": [_SPLIT, "columns"], "msg": "Input should be different column names"}]
        )
    return names


def _data_rows(model: ServedModel, reader: JsonReader, names: Sequence[str]) -> Iterator[Rows]:
    start = 0
    for rows in reader.elements():
        for index, row in enumerate(rows, start):
            if not isinstance(row, list):
                raise not_a_list([_SPLIT, "data", index])
        filled = [
            row_from_values(names, row, [_SPLIT, "data", index])
            for index, row in enumerate(rows, start)
        ]
        yield validate_rows(model, filled, start)
        start += len(rows)


def _column_rows(model: ServedModel, reader: JsonReader) -> Iterator[Rows]:
    """Yields the rows of lists of values, one for each column, all of one length."""
    columns: dict[str, list[Any]] = {}
    for name in reader.members():
        if name not in model.schema.names:
            raise invalid(
                [{"loc": ["inputs"], "msg": "Input should hold the declared columns only"}]
            )
        values: list[Any] = []
        if reader.peek() != b"[":
            reader.value()
            raise _uneven_columns()
        for items in reader.elements():
            values += items
            if len(values) > MAX_JSON_ROWS:
                raise too_many_rows()
        columns[name] = values
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise _uneven_columns()
    for start in range(0, max(lengths, default=0), STEP_ROWS):
        parts = [values[start : start + STEP_ROWS] for values in columns.values()]
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*parts, strict=True)]
        yield validate_rows(model, rows, start)


def _uneven_columns() -> Problem:
    return invalid([{"loc": ["inputs"], "msg": "Input should hold lists of one length"}])


def _csv_rows(model: ServedModel, body: bytes) -> Iterator[Rows]:
    """Yields rows of CSV, with a header of column names or, as SageMaker sends it, without one."""
    names: Sequence[str] = model.schema.names
    rows: list[Values] = []
    start, is_first = 0, True
    for line in _csv_lines(body, model.max_row_bytes, model.schema.csv):
        if is_first and set(line) & set(names) and not _is_row(model, line):
            if len(set(line)) < len(line):
                raise malformed("Two columns have the same name. Name each column once.")
            names, is_first = line, False
            continue
        is_first = False
        rows.append(_csv_row(model, names, line, start + len(rows)))
        if len(rows) == STEP_ROWS:
            yield rows, model.validator.to_batch(rows)
            start, rows = start + len(rows), []
    if rows:
        yield rows, model.validator.to_batch(rows)
    elif not start:
        raise malformed("The body holds no rows.")


def _csv_lines(body: bytes, max_bytes: int, form: CsvFormat) -> Iterator[list[str]]:
    """Yields the cells of each record that is not empty. Raises Problem 400, or 413 for one over `max_bytes`."""
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        # any line end ends a record
        encoding = "utf-8-sig" if form.encoding == "utf-8" else form.encoding
        text = io.TextIOWrapper(io.BytesIO(body), encoding, newline="")
        while line := text.readline(max_bytes):
            taken += len(line)
            if taken > max_bytes:
                raise Problem(413, f"A line is longer than {max_bytes} bytes. Check its quotes.")
            yield line

    try:
        for line in csv.reader(lines(), delimiter=form.delimiter, strict=True):
            taken = 0
            if line:
                yield line
    except (UnicodeDecodeError, csv.Error):
        raise malformed(f"The body is not CSV in {form.encoding.upper()}.") from None


def _csv_row(model: ServedModel, names: Sequence[str], line: list[str], index: int) -> Values:
    try:
        return model.validator.parse_text_row(row_from_values(names, line, [index]))
    except RowsError as error:
        raise invalid(
            [{**fault, "loc": [index, *fault["loc"]]} for fault in error.faults]
        ) from None


def _is_row(model: ServedModel, line: list[str]) -> bool:
    """Returns whether a line holds values rather than names, though one of its values is a column's name."""
    if model.schema.numeric or len(line) != len(model.schema.names):
        return False
    return all(column.kind is ColumnKind.CATEGORY for column in model.schema.columns) and set(
        line
    ) != set(model.schema.names)
