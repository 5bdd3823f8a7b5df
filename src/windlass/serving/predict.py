"""The hot path: `/predict` and `/predict_batch`, from the bytes of the body to the ledger and the answer."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from time import perf_counter, time
from typing import Any

import orjson

from windlass.core.batch import Batch, Prediction, join_small
from windlass.core.row_validator import Values
from windlass.errors import RejectedRowsError, RowsError
from windlass.monitoring.ledger_record import encode_row, encode_rows
from windlass.serving.batch_answer import BatchAnswer
from windlass.serving.content_negotiation import response_format
from windlass.serving.json_reader import PIECE_BYTES, JsonReader
from windlass.serving.model import ServedModel
from windlass.serving.served_project import ServedProject
from windlass.web.messages import JSON, Request, Response
from windlass.web.problems import Problem, invalid, malformed, rejected, unsupported

_JSON_TYPES = ("application/json", "")  # a client may leave the type out
_INLINE_BYTES = 1 << 14
_dumps = orjson.dumps
CHUNK_ROWS = 1 << 16  # predicted at a time
MAX_JSON_ROWS = 500_000  # in one answer
Rows = tuple[list[Values], Batch]  # validated rows, and the same as arrays
ReadRows = Callable[[ServedModel], Iterator[Rows]]  # a piece of the body at a time
EncodeAnswer = Callable[[BatchAnswer, bytes], Response]  # of an answer, and its JSON


@dataclass(frozen=True)
class CollectedRows:
    """All rows of a request: as arrays, of CHUNK_ROWS rows at most, and as the JSON array that the ledger has."""

    batches: list[Batch]
    json: bytes


class Predictor:
    """Prediction routes of one project."""

    def __init__(self, project: ServedProject) -> None:
        self._project = project
        self._append = None if project.ledger is None else project.ledger.append

    async def predict(self, request: Request) -> Response:
        """Answers `POST /predict`: one row."""
        model = (
            await self._find_model(request)
            if request.head.query_string
            else self._project.live_model()
        )
        body = await request.body(model.max_row_bytes)
        return await self.predict_row(request, model, read_row(request, model, body), {})

    async def predict_row(
        self, request: Request, model: ServedModel, row: Values, extra: Mapping[str, Any]
    ) -> Response:
        """Predicts one validated row and appends the answer, with the fields `extra`, to the ledger."""
        batch = model.validator.to_batch((row,))
        try:
            prediction = model.predict(batch) if model.inline else await model.predict_async(batch)
        except RejectedRowsError as error:
            raise row_rejected(error) from None
        encoded = encode_answer(request, model, prediction, extra)
        if self._append is not None:
            self._append(encode_row(time(), request.request_id, row, encoded))
        return Response(encoded)

    async def predict_batch(self, request: Request) -> Response:
        """Answers `POST /predict_batch`: a JSON array of rows, or a table."""
        body = await request.body()
        model = await self.resolve_model(request)
        if request.media_type() not in _JSON_TYPES:
            answer, prediction = await model.executor.submit(self._table, request, body, model)
            model.count(prediction)
            return answer
        form = response_format(request, "json")

        def encode(answer: BatchAnswer, encoded: bytes) -> Response:
            return Response(encoded) if form == "json" else _table_response(request, answer, form)

        read = partial(json_rows, body=body)
        return await self.predict_rows(request, model, read, encode, len(body))

    def _table(
        self, request: Request, body: bytes, model: ServedModel
    ) -> tuple[Response, Prediction]:
        from windlass.serving.tabular import predict_table  # pyarrow, which most servers never need

        return predict_table(request, body, model, self._project.ledger)

    async def predict_rows(
        self, request: Request, model: ServedModel, read: ReadRows, encode: EncodeAnswer, size: int
    ) -> Response:
        """Answers rows of any protocol: `read` parses them from a body of `size` bytes, `encode` gives the response.

        The answer was appended to the ledger before. A large body is read, predicted and answered off the event loop.
        """
        if size > _INLINE_BYTES:
            work = self._predict_large
            response, prediction = await model.executor.submit(work, request, model, read, encode)
        else:
            rows = _collect(read(model), keeps_json=self._append is not None)
            request.parsed = perf_counter()
            prediction = await model.predict_async(Batch.concat(rows.batches))
            response = self._respond(request, model, rows, prediction, encode)
        model.count(prediction)
        return response

    def _predict_large(
        self, request: Request, model: ServedModel, read: ReadRows, encode: EncodeAnswer
    ) -> tuple[Response, Prediction]:
        rows = _collect(read(model), keeps_json=self._append is not None)
        request.parsed = perf_counter()
        prediction = Prediction.concat(model.predict_chunks(rows.batches))
        return self._respond(request, model, rows, prediction, encode), prediction

    def _respond(
        self,
        request: Request,
        model: ServedModel,
        rows: CollectedRows,
        prediction: Prediction,
        encode: EncodeAnswer,
    ) -> Response:
        request.predicted = perf_counter()
        answer, encoded = self.record_batch(request, model, rows.json, prediction)
        return encode(answer, encoded)

    def record_batch(
        self, request: Request, model: ServedModel, rows: bytes, prediction: Prediction
    ) -> tuple[BatchAnswer, bytes]:
        """Returns the answer and its JSON, after it was appended to the ledger with the rows, a JSON array."""
        latency_ms = round((perf_counter() - request.started) * 1e3, 3)
        answer = BatchAnswer(model, prediction, request.id, latency_ms)
        encoded = answer.encode()
        if self._append is not None:
            self._append(encode_rows(time(), request.request_id, rows, encoded))
        return answer, encoded

    async def resolve_model(self, request: Request) -> ServedModel:
        """Returns the version that the path or `?version=` names, else the live one. Raises Problem 404, 409 or 503."""
        model = await self._find_model(request)
        request.version = model.version
        return model

    async def _find_model(self, request: Request) -> ServedModel:
        name = request.path_params.get("version")
        if name is None and request.head.query_string:
            name = request.query().get("version")
        return (
            self._project.live_model() if name is None else await self._project.find_version(name)
        )


def read_row(request: Request, model: ServedModel, body: bytes) -> Values:
    """Returns the validated row of a request. Raises Problem 400, 415 or 422."""
    request.version = model.version
    if request.content_type != JSON:
        require_json(request)
    try:
        row = model.validator.parse_row(body)
    except RowsError as error:
        raise rows_problem(error) from None
    request.parsed = perf_counter()
    return row


def row_rejected(error: RejectedRowsError) -> Problem:
    """Returns Problem 422 for a single row that the model rejects: its places are fields, without the row."""
    return rejected([{**fault, "loc": fault["loc"][1:]} for fault in error.faults])


def encode_answer(
    request: Request, model: ServedModel, prediction: Prediction, extra: Mapping[str, Any]
) -> bytes:
    """Counts the prediction of a single row, and returns its answer as JSON, with the fields `extra`."""
    request.predicted = now = perf_counter()
    answer = model.row_answer(prediction)
    if model.counts_label:
        model.counts[0 if prediction.labels is None else prediction.labels.item(0)] += 1.0
    else:
        model.count(prediction)
    answer["model_version"] = model.version
    answer["latency_ms"] = round((now - request.started) * 1e3, 3)
    answer["prediction_id"] = request.id
    answer.update(extra)
    return _dumps(answer)


def require_json(request: Request) -> None:
    """Raises Problem 415 unless the content type is JSON, or none is given."""
    if request.media_type() not in _JSON_TYPES:
        raise unsupported(["application/json"])


def json_rows(model: ServedModel, body: bytes) -> Iterator[Rows]:
    """Yields the validated rows of a JSON array, a piece at a time. Raises Problem 400, 413 or 422."""
    if len(body) <= PIECE_BYTES:
        yield validate_piece(partial(model.validator.parse_batch, body), 0)
        return
    reader = JsonReader(body, model.max_row_bytes)
    if reader.peek() != b"[":
        raise invalid([{"loc": [], "msg": "Input should be a valid array"}])
    start = 0
    for text, values in reader.pieces():
        yield validate_piece(partial(model.validator.parse_batch, text, values), start)
        start += len(values)
    reader.end()


def validate_piece(parse: Callable[[], Rows], start: int) -> Rows:
    """Returns the rows that `parse` validates; `start` is the index of the first. Raises Problem 400 or 422."""
    try:
        return parse()
    except RowsError as error:
        raise rows_problem(error, start) from None


def _collect(pieces: Iterator[Rows], *, keeps_json: bool) -> CollectedRows:
    """Returns all rows. Raises Problem 413 where there are too many, 422 where there are none."""
    batches: list[Batch] = []
    encoded: list[bytes] = []
    count = 0
    for rows, batch in pieces:
        count += len(rows)
        if count > MAX_JSON_ROWS:
            raise too_many_rows()
        batches.append(batch)
        if keeps_json:
            encoded.append(_dumps(rows)[1:-1])
    if not count:
        raise invalid([{"loc": [], "msg": "At least one row is needed"}])
    return CollectedRows(
        join_small(batches, CHUNK_ROWS), b"".join((b"[", b",".join(encoded), b"]"))
    )


def too_many_rows() -> Problem:
    """Returns 413: more rows than one answer has."""
    return Problem(413, "The body holds more than is answered at once. Send fewer rows at a time.")


def _table_response(request: Request, answer: BatchAnswer, form: str) -> Response:
    from windlass.serving.tabular import table_response

    return table_response(request, answer.model, answer.prediction, form)


def rows_problem(error: RowsError, start: int = 0) -> Problem:
    """Returns Problem 400 for a body that is not JSON, 422 for rows that do not fit the schema.

    `start` is the index of the first row that was read.
    """
    if error.malformed:
        return malformed("The body is not valid JSON.")
    if not start:
        return invalid(error.faults)
    return invalid(
        [
            {**fault, "loc": [fault["loc"][0] + start, *fault["loc"][1:]]}
            if fault["loc"]
            else fault
            for fault in error.faults
        ]
    )
