"""Table bodies of `/predict_batch`: reads CSV, Arrow streams and Parquet; answers in these or in JSON."""

import io
from collections.abc import Iterator, Sequence
from time import perf_counter, time
from typing import Any

import orjson
import pyarrow as pa

from windlass.core.batch import Batch, Prediction
from windlass.errors import InputError, TableError
from windlass.monitoring.ledger import Ledger
from windlass.monitoring.ledger_record import TableMetadata, encode_table
from windlass.serving.content_negotiation import FORMATS, MEDIA_TYPES, response_format
from windlass.serving.model import ServedModel
from windlass.tables.reader import TableReader
from windlass.tables.validate import require_columns, validate_table
from windlass.tables.writer import open_writer, prediction_table, row_table
from windlass.web.messages import Request, Response
from windlass.web.problems import Problem, invalid, malformed, unsupported

CHUNK_ROWS = 1 << 16  # predicted at a time
MAX_JSON_ROWS = 500_000  # as Python objects a row takes a hundred times its size
MAX_EXPANSION = 4  # size of a decompressed table, in multiples of the largest body


def predict_table(
    request: Request, body: bytes, model: ServedModel, ledger: Ledger | None
) -> tuple[Response, list[Prediction]]:
    """Predicts a table; returns the response and the predictions.

    One invalid row fails the whole table.

    Raises Problem 400, 406, 413, 415 or 422, and RejectedRowsError.
    """
    form = FORMATS.get(request.media_type())
    if form is None:
        raise unsupported(["application/json", *FORMATS])
    answer_form = response_format(request, form)
    batch = _read_table(model, body, form, request.max_body * MAX_EXPANSION)
    if answer_form == "json" and len(batch) > MAX_JSON_ROWS:
        raise _too_many_rows()
    request.parsed = perf_counter()
    predictions = model.predict_chunks(batch, CHUNK_ROWS)
    request.predicted = perf_counter()
    tables = [prediction_table(prediction, model.classes) for prediction in predictions]
    if ledger is not None:
        ledger.append_table(_ledger_record(request, model, batch, tables))
    if answer_form == "json":
        return Response(_json_answer(request, model, predictions)), predictions
    return table_response(request, model, tables, answer_form), predictions


def table_response(
    request: Request, model: ServedModel, tables: Sequence[Any], form: str
) -> Response:
    """Returns predictions as a table; version and prediction id are in its headers."""
    sink = io.BytesIO()
    with open_writer(sink, tables[0].schema, form) as writer:
        for table in tables:
            writer.write_batch(table)
    headers = [
        (b"x-model-version", model.version.encode()),
        (b"x-prediction-id", request.id.encode()),
    ]
    return Response(sink.getvalue(), MEDIA_TYPES[form], headers=headers)


def _read_table(model: ServedModel, body: bytes, form: str, max_bytes: int) -> Batch:
    """Returns the rows of a body as arrays. Raises Problem 400, 413 above `max_bytes` of memory, or 422."""
    try:
        if form == "csv":
            body.decode()
        with TableReader(body, form) as reader:
            _check_columns(model, reader.names)  # before any row is read: there may be very many
            table = pa.Table.from_batches(_bounded_batches(reader, max_bytes), reader.schema)
    except UnicodeDecodeError:
        raise malformed("The body is not UTF-8.") from None
    except (InputError, pa.ArrowException) as error:
        # the readers' own messages quote the body
        reason = error.reason if isinstance(error, TableError) else ""
        detail = f"The body cannot be read as a table in the form {form}"
        raise malformed(f"{detail}: {reason}" if reason else f"{detail}.") from None
    if not table.num_rows:
        raise invalid([{"loc": [], "msg": "At least one row is needed"}])
    try:
        checked = validate_table(model.schema, table, strings=form == "csv")
    except (pa.ArrowException, UnicodeDecodeError):
        raise malformed("The table holds a column of a type that is not read here.") from None
    if checked.problems:
        raise invalid([{"loc": [p.row, p.column], "msg": p.reason} for p in checked.problems])
    return checked.batch


def _check_columns(model: ServedModel, names: Sequence[str]) -> None:
    try:
        require_columns(model.schema, names)
    except InputError as error:
        raise invalid([{"loc": [], "msg": str(error)}]) from None


def _bounded_batches(reader: TableReader, max_bytes: int) -> Iterator[Any]:
    """Yields the batches. Raises Problem 413 above `max_bytes`: a few bytes of Parquet may hold any number of rows."""
    size = 0
    for batch in reader:
        size += batch.num_rows * max(batch.num_columns, 1) * 8
        size += sum(_expanded_bytes(column) for column in batch.columns)
        if size > max_bytes:
            raise _too_many_rows()
        yield batch


def _expanded_bytes(array: Any) -> int:
    """Returns the size of a column without dictionary encoding."""
    if not pa.types.is_dictionary(array.type):
        return int(array.nbytes)
    longest = max(map(len, map(str, array.dictionary.to_pylist())), default=0)
    return len(array) * int(longest)


def _too_many_rows() -> Problem:
    return Problem(413, "The table holds more than is answered at once. Send fewer rows at a time.")


def _ledger_record(
    request: Request, model: ServedModel, batch: Batch, tables: Sequence[Any]
) -> memoryview:
    metadata = TableMetadata(
        prediction_id=request.id,
        request_id=request.request_id.decode(),
        predicted_at=time(),
        model_version=model.version,
        latency_ms=(request.predicted - request.started) * 1e3,
    )
    rows = (
        row_table(model.schema, batch.slice(start, start + CHUNK_ROWS))
        for start in range(0, len(batch), CHUNK_ROWS)
    )
    return encode_table(metadata, zip(tables, rows, strict=True))


def _json_answer(request: Request, model: ServedModel, predictions: list[Prediction]) -> bytes:
    parts = [model.batch_answer(prediction) for prediction in predictions]
    answer: dict[str, Any] = {
        key: [item for part in parts for item in part[key]] for key in parts[0]
    }
    answer["model_version"] = model.version
    answer["latency_ms"] = round((perf_counter() - request.started) * 1e3, 3)
    answer["prediction_id"] = request.id
    return orjson.dumps(answer)
