"""MLflow's scoring server and SageMaker's container: `POST /invocations`."""

import csv
import io
from typing import Any

import orjson

from windlass._version import __version__
from windlass.core.row_schema import ColumnKind
from windlass.errors import RowsError
from windlass.serving.model import ServedModel
from windlass.serving.predict import Predictor, Rows
from windlass.serving.protocols.rows import named, parse_object, read_rows, rows_of
from windlass.web.messages import Request, Response
from windlass.web.problems import invalid, malformed, unsupported

_SHAPES = ("dataframe_split", "dataframe_records", "instances", "inputs")
_ACCEPTED = ("application/json", "text/csv")


class ScoringServer:
    """The scoring routes of the only project."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    async def version(self, _: Request) -> Response:
        """`GET /version`: of this software, as plain text."""
        return Response(__version__.encode(), b"text/plain")

    async def invoke(self, exchange: Request) -> Response:
        """`POST /invocations`: rows in one of MLflow's shapes, or CSV; the predictions in order."""
        kind = exchange.media_type()
        if kind not in (*_ACCEPTED, ""):
            raise unsupported(_ACCEPTED)
        body = await exchange.body()
        model = await self._predictor.model(exchange)

        def read(model: ServedModel) -> Rows:
            if kind == "text/csv":
                return _csv_rows(model, body)
            return read_rows(model, _json_rows(model, body))

        answer = await self._predictor.rows(exchange, model, read, len(body))
        if _wants_csv(exchange):
            return Response(_csv(answer["predictions"]), b"text/csv")
        return Response(orjson.dumps({"predictions": answer["predictions"]}))


def _wants_csv(exchange: Request) -> bool:
    """Whether `Accept` names CSV before JSON; whatever else it names, JSON is what there is."""
    for item in exchange.accept.decode("latin-1").split(","):
        kind = item.partition(";")[0].strip().lower()
        if kind in ("application/json", "application/*", "*/*"):
            return False
        if kind in ("text/csv", "text/*"):
            return True
    return False


def _csv(predictions: list[Any]) -> bytes:
    """A prediction a line, without a header, as SageMaker's own containers answer."""
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\n").writerows([one] for one in predictions)
    return sink.getvalue().encode()


def _json_rows(model: ServedModel, body: bytes) -> list[Any]:
    value = parse_object(body)
    found = [shape for shape in _SHAPES if shape in value]
    if len(found) != 1 or value.keys() - {*found, "params"}:
        raise malformed(f"The body needs exactly one of {', '.join(_SHAPES)}, and may have params.")
    content = value[found[0]]
    if found[0] == "dataframe_split":
        return _split(content)
    if found[0] == "inputs" and isinstance(content, dict):
        return _columns(content)
    return rows_of(model.schema, content, found[0])


def _split(content: Any) -> list[Any]:
    """`{"columns": […], "data": [[…], …]}`, in whatever order the columns are."""
    here = "dataframe_split"
    if not isinstance(content, dict):
        raise invalid([{"loc": [here], "msg": "Input should be an object"}])
    columns, data = content.get("columns"), content.get("data")
    for name, part in (("columns", columns), ("data", data)):
        if not isinstance(part, list):
            raise invalid([{"loc": [here, name], "msg": "Input should be a list"}])
    assert isinstance(columns, list)
    assert isinstance(data, list)
    if not all(isinstance(name, str) for name in columns) or len(set(columns)) < len(columns):
        raise invalid([{"loc": [here, "columns"], "msg": "Input should be different column names"}])
    for index, row in enumerate(data):
        if not isinstance(row, list):
            raise invalid([{"loc": [here, "data", index], "msg": "Input should be a list"}])
    return [named(columns, row, [here, "data", index]) for index, row in enumerate(data)]


def _columns(content: dict[str, Any]) -> list[Any]:
    """A list of values a column, all of one length."""
    lists = {name: values for name, values in content.items() if isinstance(values, list)}
    lengths = {len(values) for values in lists.values()}
    if len(lists) < len(content) or len(lengths) > 1:
        raise invalid([{"loc": ["inputs"], "msg": "Input should hold lists of one length"}])
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def _csv_rows(model: ServedModel, body: bytes) -> Rows:
    """Rows of CSV, with a header of column names or, as SageMaker sends it, without one."""
    try:
        lines = [
            line for line in csv.reader(io.StringIO(body.decode("utf-8-sig")), strict=True) if line
        ]
    except (UnicodeDecodeError, csv.Error):
        raise malformed("The body is not CSV in UTF-8.") from None
    names: list[str] | tuple[str, ...] = model.schema.names
    if lines and set(lines[0]) & set(names) and not _is_row(model, lines[0]):
        names, lines = lines[0], lines[1:]
    if not lines:
        raise malformed("The body holds no rows.")
    rows = []
    for index, line in enumerate(lines):
        try:
            rows.append(model.validator.parse_text_row(named(names, line, [index])))
        except RowsError as error:
            raise invalid(
                [{**fault, "loc": [index, *fault["loc"]]} for fault in error.faults]
            ) from None
    return rows, model.validator.to_batch(rows)


def _is_row(model: ServedModel, line: list[str]) -> bool:
    """Whether a line holds values rather than names, though a name stands in it."""
    if model.schema.numeric or len(line) != len(model.schema.names):
        return False
    return all(column.kind is ColumnKind.CATEGORY for column in model.schema.columns) and set(
        line
    ) != set(model.schema.names)
