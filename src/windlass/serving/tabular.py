"""Tables as bodies of `/predict_batch`: CSV, Arrow streams and Parquet in, the same or JSON out."""

import io
from collections.abc import Iterator, Sequence
from time import perf_counter, time
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from windlass.core.batch import Batch, Prediction
from windlass.core.row_schema import MISSING_TEXT, ColumnKind, ColumnSchema, RowSchema
from windlass.errors import InputError
from windlass.monitoring.ledger import Ledger
from windlass.serving.model import ServedModel
from windlass.tables.arrow_numpy import mask_array, number_array, text_array
from windlass.tables.reader import TableReader
from windlass.tables.validate import require_columns, validate_table
from windlass.tables.writer import open_writer, prediction_table
from windlass.web.messages import Request, Response
from windlass.web.problems import Problem, invalid, malformed, unsupported

FORMS = {
    "text/csv": "csv",
    "application/vnd.apache.arrow.stream": "arrow",
    "application/vnd.apache.parquet": "parquet",
}
TYPES = {form: kind.encode() for kind, form in FORMS.items()}
_JSON = ("application/json", "application/*")


def wanted(exchange: Request, form: str) -> str:
    """The form that `Accept` names first; `form`, the body's own, where it leaves the choice.

    Raises Problem 406 where it names none that there is.
    """
    if exchange.accept in (b"", b"*/*"):
        return form
    for item in exchange.accept.decode("latin-1").split(","):
        kind = item.partition(";")[0].strip().lower()
        if kind in ("", "*/*"):
            return form
        if kind in _JSON:
            return "json"
        if kind in FORMS:
            return FORMS[kind]
    raise Problem(406, f"Accept one of: application/json, {', '.join(FORMS)}.")


CHUNK = 1 << 16  # rows predicted at a time
MAX_AS_JSON = 500_000  # rows: each takes a hundred times its size as objects
EXPANSION = 4  # what a compressed body may grow to, in bodies of the largest size


def answer_table(
    exchange: Request, body: bytes, model: ServedModel, ledger: Ledger | None
) -> tuple[Response, list[Prediction]]:
    """Predict a table; also what was predicted. Nothing is answered, or kept, unless every row is good."""
    form = FORMS.get(exchange.media_type())
    if form is None:
        raise unsupported(["application/json", *FORMS])
    asked = wanted(exchange, form)
    batch = _read(model, body, form, exchange.max_body * EXPANSION)
    if asked == "json" and len(batch) > MAX_AS_JSON:
        raise _too_many()
    exchange.parsed = perf_counter()
    parts = [model.predict(batch.slice(at, at + CHUNK)) for at in range(0, len(batch), CHUNK)]
    exchange.predicted = perf_counter()
    answers = [prediction_table(part, model.classes) for part in parts]
    if ledger is not None:
        ledger.append_table(_entry(exchange, model, batch, answers))
    if asked == "json":
        return Response(_json(exchange, model, parts)), parts
    return as_table(exchange, model, answers, asked), parts


def as_table(exchange: Request, model: ServedModel, answers: Sequence[Any], form: str) -> Response:
    """Predictions as a table; who answered, and under which id, stands in headers."""
    sink = io.BytesIO()
    with open_writer(sink, answers[0].schema, form) as writer:
        for answer in answers:
            writer.write_batch(answer)
    named = [
        (b"x-model-version", model.version.encode()),
        (b"x-prediction-id", exchange.id.encode()),
    ]
    return Response(sink.getvalue(), TYPES[form], headers=named)


def _read(model: ServedModel, body: bytes, form: str, most: int) -> Batch:
    """The body's rows as arrays. Raises Problem 400, 413 where they take more than `most` bytes, or 422."""
    try:
        if form == "csv":
            body.decode()
        with TableReader(body, form) as reader:
            _refuse_columns(model, reader.names)  # before a row is read, for there may be very many
            table = pa.Table.from_batches(_bounded(reader, most), reader.schema)
    except UnicodeDecodeError:
        raise malformed("The body is not UTF-8.") from None
    except (InputError, pa.ArrowException):
        # what the readers say of a body quotes it
        raise malformed(f"The body cannot be read as a table in the form {form}.") from None
    if not table.num_rows:
        raise invalid([{"loc": [], "msg": "At least one row is needed"}])
    try:
        checked = validate_table(model.schema, table, strings=form == "csv")
    except (pa.ArrowException, UnicodeDecodeError):
        raise malformed("The table holds a column of a type that is not read here.") from None
    if checked.problems:
        raise invalid([{"loc": [p.row, p.column], "msg": p.reason} for p in checked.problems])
    return checked.batch


def _refuse_columns(model: ServedModel, names: Sequence[str]) -> None:
    try:
        require_columns(model.schema, names)
    except InputError as error:
        raise invalid([{"loc": [], "msg": str(error)}]) from None


def _bounded(reader: TableReader, most: int) -> Iterator[Any]:
    """The batches, as long as they fit: a few bytes of Parquet may stand for any number of rows."""
    size = 0
    for batch in reader:
        size += batch.num_rows * max(batch.num_columns, 1) * 8
        size += sum(_bytes(column) for column in batch.columns)
        if size > most:
            raise _too_many()
        yield batch


def _bytes(array: Any) -> int:
    """What a column takes once each of its values is written out."""
    if not pa.types.is_dictionary(array.type):
        return int(array.nbytes)
    longest = max(map(len, map(str, array.dictionary.to_pylist())), default=0)
    return len(array) * int(longest)


def _too_many() -> Problem:
    return Problem(413, "The table holds more than is answered at once. Send fewer rows at a time.")


def _entry(exchange: Request, model: ServedModel, batch: Batch, answers: Sequence[Any]) -> bytes:
    """Rows and predictions as one Arrow stream; what they share stands in its metadata."""
    shared = {
        "prediction_id": exchange.id,
        "request_id": exchange.request_id.decode(),
        "predicted_at": f"{time():.6f}",
        "model_version": model.version,
        "latency_ms": f"{(exchange.predicted - exchange.started) * 1e3:.3f}",
    }
    sink = pa.BufferOutputStream()
    writer = None
    for index, answer in enumerate(answers):
        rows = row_columns(model.schema, batch.slice(index * CHUNK, (index + 1) * CHUNK))
        columns = dict(zip(answer.schema.names, answer.columns, strict=True)) | dict(rows)
        part = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
        writer = writer or pa.ipc.new_stream(sink, part.schema.with_metadata(shared))
        writer.write_batch(part)
    assert writer is not None
    writer.close()
    return memoryview(sink.getvalue())  # type: ignore[return-value]  # a buffer that os.write takes as it is


def row_columns(schema: RowSchema, batch: Batch) -> Iterator[tuple[str, Any]]:
    """Every column of validated rows as its name and an Arrow array of what JSON would carry."""
    numbers, texts = iter(batch.numeric.T), iter(batch.text.T)
    for column in schema.columns:
        if column.is_text:
            yield column.name, _texts(next(texts))
        else:
            yield column.name, _numbers(column, next(numbers))


def _texts(values: NDArray[np.object_]) -> Any:
    return _with_nulls(text_array(values.tolist()), values != MISSING_TEXT)


def _numbers(column: ColumnSchema, values: NDArray[np.float64]) -> Any:
    there = ~np.isnan(values)
    filled = np.where(there, values, 0.0)
    match column.kind:
        case ColumnKind.NUMBER:
            found = number_array(filled)
        case ColumnKind.INTEGER:
            found = number_array(filled.astype(np.int64))
        case ColumnKind.BOOLEAN:
            found = mask_array(filled != 0)
        case _:  # a date, in days
            found = number_array(filled.astype(np.int32)).cast(pa.date32()).cast(pa.string())
    return _with_nulls(found, there)


def _with_nulls(array: Any, there: NDArray[np.bool_]) -> Any:
    """The array, null where `there` is false. (pyarrow's own way to a null imports pandas.)"""
    if there.all():
        return array
    _, *buffers = array.buffers()
    return pa.Array.from_buffers(array.type, len(array), [mask_array(there).buffers()[1], *buffers])


def _json(exchange: Request, model: ServedModel, parts: list[Prediction]) -> bytes:
    answers = [model.answers(part) for part in parts]
    answer: dict[str, Any] = {
        key: [item for part in answers for item in part[key]] for key in answers[0]
    }
    answer["model_version"] = model.version
    answer["latency_ms"] = round((perf_counter() - exchange.started) * 1e3, 3)
    answer["prediction_id"] = exchange.id
    return orjson.dumps(answer)
