"""The hot path: `/predict` and `/predict_batch`, from the bytes of the body to the ledger and the answer."""

from collections.abc import Callable, Mapping
from time import perf_counter, time
from typing import Any

import orjson

from windlass.core.batch import Batch, Prediction
from windlass.core.row_validator import Values
from windlass.errors import RejectedRowsError, RowsError
from windlass.monitoring.ledger_record import encode_row, encode_rows
from windlass.serving.content_negotiation import response_format
from windlass.serving.model import ServedModel
from windlass.serving.served_project import ServedProject
from windlass.web.messages import JSON, Request, Response
from windlass.web.problems import Problem, invalid, malformed, rejected, unsupported

_JSON_TYPES = ("application/json", "")  # a client may leave the type out
_INLINE_BYTES = 1 << 14
_dumps = orjson.dumps
Rows = tuple[list[Values], Batch]  # validated rows, and the same as arrays
Uncounted = tuple[Response, list[Prediction]]  # predictions that the event loop has yet to count


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
            answer, predictions = await model.executor.submit(self._table, request, body, model)
        elif len(body) <= _INLINE_BYTES and model.inline:
            answer, predictions = self._json_batch(request, body, model)
        else:
            answer, predictions = await model.executor.submit(
                self._json_batch, request, body, model
            )
        for prediction in predictions:
            model.count(prediction)
        return answer

    def _table(self, request: Request, body: bytes, model: ServedModel) -> Uncounted:
        from windlass.serving.tabular import predict_table  # pyarrow, which most servers never need

        return predict_table(request, body, model, self._project.ledger)

    def _json_batch(self, request: Request, body: bytes, model: ServedModel) -> Uncounted:
        form = response_format(request, "json")
        rows, batch = parse_rows(model, body)
        request.parsed = perf_counter()
        prediction = model.predict(batch)
        request.predicted = perf_counter()
        _, encoded = self.record_batch(request, model, rows, prediction)
        if form == "json":
            return Response(encoded), [prediction]
        from windlass.serving.tabular import table_response
        from windlass.tables.writer import prediction_table

        table = prediction_table(prediction, model.classes)
        return table_response(request, model, [table], form), [prediction]

    async def predict_rows(
        self, request: Request, model: ServedModel, read: Callable[[ServedModel], Rows], size: int
    ) -> dict[str, Any]:
        """Predicts the rows of another protocol, which `read` parses from a body of `size` bytes.

        Returns the answer of a batch, after it was appended to the ledger. A large body is parsed and predicted
        off the event loop.
        """
        if size <= _INLINE_BYTES:
            rows, batch = read(model)
            request.parsed = perf_counter()
            prediction = await model.predict_async(batch)
            request.predicted = perf_counter()
            answer = self.record_batch(request, model, rows, prediction)[0]
        else:
            answer, prediction = await model.executor.submit(self._read_batch, request, read, model)
        model.count(prediction)
        return answer

    def _read_batch(
        self, request: Request, read: Callable[[ServedModel], Rows], model: ServedModel
    ) -> tuple[dict[str, Any], Prediction]:
        rows, batch = read(model)
        request.parsed = perf_counter()
        prediction = model.predict(batch)
        request.predicted = perf_counter()
        return self.record_batch(request, model, rows, prediction)[0], prediction

    def record_batch(
        self, request: Request, model: ServedModel, rows: list[Values], prediction: Prediction
    ) -> tuple[dict[str, Any], bytes]:
        """Returns the batch answer and its JSON, after it was appended to the ledger."""
        answer = model.batch_answer(prediction)
        answer["model_version"] = model.version
        answer["latency_ms"] = round((perf_counter() - request.started) * 1e3, 3)
        answer["prediction_id"] = request.id
        encoded = _dumps(answer)
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
    answer["model_version"] = model.version
    answer["latency_ms"] = round((now - request.started) * 1e3, 3)
    answer["prediction_id"] = request.id
    answer.update(extra)
    return _dumps(answer)


def require_json(request: Request) -> None:
    """Raises Problem 415 unless the content type is JSON, or none is given."""
    if request.media_type() not in _JSON_TYPES:
        raise unsupported(["application/json"])


def parse_rows(model: ServedModel, body: bytes) -> Rows:
    """Validates a JSON array of rows. Raises Problem 400 or 422."""
    try:
        rows, batch = model.validator.parse_batch(body)
    except RowsError as error:
        raise rows_problem(error) from None
    if not rows:
        raise invalid([{"loc": [], "msg": "At least one row is needed"}])
    return rows, batch


def rows_problem(error: RowsError) -> Problem:
    """Returns Problem 400 for a body that is not JSON, 422 for rows that do not fit the schema."""
    if error.malformed:
        return malformed("The body is not valid JSON.")
    return invalid(error.faults)
