"""Table bodies of `/predict_batch`: reads CSV, Arrow streams and Parquet; answers in these or in JSON."""

import io
from collections.abc import Iterator, Sequence
from time import perf_counter, time
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from windlass.core.batch import Batch, Prediction, join_small
from windlass.core.row_validator import MAX_FAULTS
from windlass.errors import Fault, InputError, TableError
from windlass.monitoring.ledger import Ledger
from windlass.monitoring.ledger_record import TableMetadata, encode_table
from windlass.serving.batch_answer import BatchAnswer
from windlass.serving.content_negotiation import FORMATS, MEDIA_TYPES, response_format
from windlass.serving.model import ServedModel
from windlass.serving.predict import CHUNK_ROWS, MAX_JSON_ROWS, too_many_rows
from windlass.tables.reader import TableReader
from windlass.tables.text_columns import is_text
from windlass.tables.validate import require_columns, validate_table
from windlass.tables.writer import open_writer, prediction_table, row_table
from windlass.web.messages import Request, Response
from windlass.web.problems import invalid, malformed, unsupported

MAX_EXPANSION = 4  # size of a decompressed table, in multiples of the largest body


def predict_table(
    request: Request, body: bytes, model: ServedModel, ledger: Ledger | None
) -> tuple[Response, Prediction]:
    """Predicts a table; returns the response and the predictions.

    One invalid row fails the whole table.

    Raises Problem 400, 406, 413, 415 or 422, and RejectedRowsError.
    """
    form = FORMATS.get(request.media_type())
    if form is None:
        raise unsupported(["application/json", *FORMATS])
    answer_form = response_format(request, form)
    batches = _read_table(model, body, form, request.max_body * MAX_EXPANSION)
    if answer_form == "json" and sum(map(len, batches)) > MAX_JSON_ROWS:
        raise too_many_rows()
    request.parsed = perf_counter()
    predictions = model.predict_chunks(batches)
    prediction = Prediction.concat(predictions)
    request.predicted = perf_counter()
    tables = [prediction_table(each, model.target) for each in predictions]
    if ledger is not None:
        ledger.append_table(_ledger_record(request, model, batches, tables))
    if answer_form == "json":
        latency_ms = round((perf_counter() - request.started) * 1e3, 3)
        answer = BatchAnswer(model, prediction, request.id, latency_ms)
        return Response(answer.encode()), prediction
    return _encode_tables(request, model, tables, answer_form), prediction


def table_response(
    request: Request, model: ServedModel, prediction: Prediction, form: str
) -> Response:
    """Returns predictions as a table; version and prediction id are in its headers."""
    tables = [
        prediction_table(prediction.slice(start, start + CHUNK_ROWS), model.target)
        for start in range(0, len(prediction), CHUNK_ROWS)
    ]
    return _encode_tables(request, model, tables, form)


def _encode_tables(
    request: Request, model: ServedModel, tables: Sequence[Any], form: str
) -> Response:
    sink = io.BytesIO()
    with open_writer(sink, tables[0].schema, form) as writer:
        for table in tables:
            writer.write_batch(table)
    headers = [
        (b"x-model-version", model.version.encode()),
        (b"x-prediction-id", request.id.encode()),
    ]
    return Response(sink.getvalue(), MEDIA_TYPES[form], headers=headers)


def _read_table(model: ServedModel, body: bytes, form: str, max_bytes: int) -> list[Batch]:
    """Returns the rows of a body as arrays, of CHUNK_ROWS rows at most.

    Raises Problem 400, 413 above `max_bytes` of memory, or 422.
    """
    checked = _CheckedRows(model)
    try:
        with TableReader(body, form, csv=model.schema.csv) as reader:
            _check_columns(model, reader.names)  # before any row is read: there may be very many
            for batch in _bounded_batches(reader, max_bytes):
                checked.add(batch, strings=form == "csv")
    except (InputError, pa.ArrowException) as error:
        # the readers' own messages quote the body
        reason = error.reason if isinstance(error, TableError) else ""
        detail = f"The body cannot be read as a table in the form {form}"
        raise malformed(f"{detail}: {reason}" if reason else f"{detail}.") from None
    return join_small(checked.batches(), CHUNK_ROWS)


class _CheckedRows:
    """Validates the batches of a table one after the other."""

    def __init__(self, model: ServedModel) -> None:
        self._model = model
        self._batches: list[Batch] = []
        self._faults: list[Fault] = []
        self._rows = 0

    def add(self, table: Any, *, strings: bool) -> None:
        """Validates a batch. Raises Problem 422 once MAX_FAULTS are found."""
        if not table.num_rows:
            return
        try:
            checked = validate_table(self._model.schema, table, strings=strings)
        except (pa.ArrowException, UnicodeDecodeError):
            raise malformed("The table holds a column of a type that is not read here.") from None
        self._faults += [
            {"loc": [self._rows + problem.row, problem.column], "msg": problem.reason}
            for problem in checked.problems
        ]
        if len(self._faults) >= MAX_FAULTS:
            raise invalid(self._faults[:MAX_FAULTS])
        self._rows += table.num_rows
        if not self._faults:
            self._batches.append(checked.batch)

    def batches(self) -> list[Batch]:
        """Returns all rows. Raises Problem 422 where any is invalid, and where there is none."""
        if self._faults:
            raise invalid(self._faults)
        if not self._rows:
            raise invalid([{"loc": [], "msg": "At least one row is needed"}])
        return self._batches


def _check_columns(model: ServedModel, names: Sequence[str]) -> None:
    try:
        require_columns(model.schema, names)
    except TableError as error:  # its reason quotes no name of a stranger
        raise invalid([{"loc": [], "msg": error.reason}]) from None


def _bounded_batches(reader: TableReader, max_bytes: int) -> Iterator[Any]:
    """Yields the batches. Raises Problem 413 above `max_bytes`: a few bytes of Parquet may hold any number of rows."""
    size = 0
    for batch in reader:
        size += batch.num_rows * max(batch.num_columns, 1) * 8
        size += sum(_expanded_bytes(column) for column in batch.columns)
        if size > max_bytes:
            raise too_many_rows()
        yield batch


def _expanded_bytes(array: Any) -> int:
    """Returns the size of a column without dictionary encoding, and of lists with float64 for their numbers."""
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        return int(array.nbytes) + len(array.flatten()) * 8  # as float64
    if pa.types.is_fixed_size_list(array.type):
        return len(array) * (int(array.type.list_size) + 1) * 8
    if not pa.types.is_dictionary(array.type):
        return int(array.nbytes)
    longest = 16  # of what is not text
    if is_text(array.type.value_type):
        longest = pc.max(pc.binary_length(array.dictionary.cast(pa.large_string()))).as_py() or 0
    return len(array) * int(longest)


def _ledger_record(
    request: Request, model: ServedModel, batches: Sequence[Batch], tables: Sequence[Any]
) -> memoryview:
    metadata = TableMetadata(
        prediction_id=request.id,
        request_id=request.request_id.decode(),
        predicted_at=time(),
        model_version=model.version,
        latency_ms=(request.predicted - request.started) * 1e3,
    )
    rows = (row_table(model.schema, batch) for batch in batches)
    return encode_table(metadata, zip(tables, rows, strict=True))
