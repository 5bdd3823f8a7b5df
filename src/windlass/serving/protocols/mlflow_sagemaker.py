"""Protocol of MLflow's scoring server and of SageMaker's container: `POST /invocations`."""

import csv
import io
from typing import Any

import orjson

from windlass._version import __version__
from windlass.core.row_schema import ColumnKind
from windlass.errors import RowsError
from windlass.serving.model import ServedModel
from windlass.serving.predict import Predictor, Rows
from windlass.serving.protocols.rows import (
    parse_object,
    row_from_values,
    rows_from_items,
    validate_rows,
)
from windlass.web.messages import Request, Response
from windlass.web.problems import invalid, malformed, unsupported

_FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
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

        def read(model: ServedModel) -> Rows:
            if kind == "text/csv":
                return _csv_rows(model, body)
            return validate_rows(model, _json_rows(model, body))

        answer = await self._predictor.predict_rows(request, model, read, len(body))
        if _wants_csv(request):
            return Response(_csv_lines(answer["predictions"]), b"text/csv")
        return Response(orjson.dumps({"predictions": answer["predictions"]}))


def _wants_csv(request: Request) -> bool:
    """Returns whether `Accept` names CSV before JSON. JSON is the answer to anything else."""
    for item in request.accept.decode("latin-1").split(","):
        kind = item.partition(";")[0].strip().lower()
        if kind in ("application/json", "application/*", "*/*"):
            return False
        if kind in ("text/csv", "text/*"):
            return True
    return False


def _csv_lines(predictions: list[Any]) -> bytes:
    """Returns one prediction for each line, without a header, as SageMaker's own containers do."""
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\n").writerows([prediction] for prediction in predictions)
    return sink.getvalue().encode()


def _json_rows(model: ServedModel, body: bytes) -> list[Any]:
    value = parse_object(body)
    formats = [name for name in _FORMATS if name in value]
    if len(formats) != 1 or value.keys() - {*formats, "params"}:
        raise malformed(
            f"The body needs exactly one of {', '.join(_FORMATS)}, and may have params."
        )
    content = value[formats[0]]
    if formats[0] == "dataframe_split":
        return _split_rows(content)
    if formats[0] == "inputs" and isinstance(content, dict):
        return _column_rows(content)
    return rows_from_items(model.schema, content, formats[0])


def _split_rows(content: Any) -> list[Any]:
    """Returns the rows of `{"columns": […], "data": [[…], …]}`, whose columns are in any order."""
    key = "dataframe_split"
    if not isinstance(content, dict):
        raise invalid([{"loc": [key], "msg": "Input should be an object"}])
    columns, data = content.get("columns"), content.get("data")
    for name, values in (("columns", columns), ("data", data)):
        if not isinstance(values, list):
            raise invalid([{"loc": [key, name], "msg": "Input should be a list"}])
    assert isinstance(columns, list)
    assert isinstance(data, list)
    if not all(isinstance(name, str) for name in columns) or len(set(columns)) < len(columns):
        raise invalid([{"loc": [key, "columns"], "msg": "Input should be different column names"}])
    for index, row in enumerate(data):
        if not isinstance(row, list):
            raise invalid([{"loc": [key, "data", index], "msg": "Input should be a list"}])
    return [row_from_values(columns, row, [key, "data", index]) for index, row in enumerate(data)]


def _column_rows(content: dict[str, Any]) -> list[Any]:
    """Returns the rows of lists of values, one for each column, all of one length."""
    lists = {name: values for name, values in content.items() if isinstance(values, list)}
    lengths = {len(values) for values in lists.values()}
    if len(lists) < len(content) or len(lengths) > 1:
        raise invalid([{"loc": ["inputs"], "msg": "Input should hold lists of one length"}])
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def _csv_rows(model: ServedModel, body: bytes) -> Rows:
    """Validates rows of CSV, with a header of column names or, as SageMaker sends it, without one."""
    try:
        text = io.StringIO(body.decode("utf-8-sig"), newline="")  # any line end ends a row
        lines = [line for line in csv.reader(text, strict=True) if line]
    except (UnicodeDecodeError, csv.Error):
        raise malformed("The body is not CSV in UTF-8.") from None
    names: list[str] | tuple[str, ...] = model.schema.names
    if lines and set(lines[0]) & set(names) and not _is_row(model, lines[0]):
        names, lines = lines[0], lines[1:]
        if len(set(names)) < len(names):
            raise malformed("Two columns have the same name. Name each column once.")
    if not lines:
        raise malformed("The body holds no rows.")
    rows = []
    for index, line in enumerate(lines):
        try:
            rows.append(model.validator.parse_text_row(row_from_values(names, line, [index])))
        except RowsError as error:
            raise invalid(
                [{**fault, "loc": [index, *fault["loc"]]} for fault in error.faults]
            ) from None
    return rows, model.validator.to_batch(rows)


def _is_row(model: ServedModel, line: list[str]) -> bool:
    """Returns whether a line holds values rather than names, though one of its values is a column's name."""
    if model.schema.numeric or len(line) != len(model.schema.names):
        return False
    return all(column.kind is ColumnKind.CATEGORY for column in model.schema.columns) and set(
        line
    ) != set(model.schema.names)
