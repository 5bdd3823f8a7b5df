"""The hot path: `/predict` and `/predict_batch`, from body bytes to answer bytes, ledger included."""

from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter, time
from typing import Any, ParamSpec, TypeVar

import orjson

from windlass.core.batch import Batch, Prediction
from windlass.core.row_validator import Values
from windlass.errors import RowsError
from windlass.serving.model import ServedModel
from windlass.serving.served_project import ServedProject
from windlass.serving.tabular import wanted
from windlass.web.messages import Request, Response
from windlass.web.problems import Problem, invalid, malformed, unsupported

_JSON_TYPES = ("application/json", "")  # a client that names no type gets the benefit of the doubt
_INLINE_BYTES = 1 << 14
_ONE = b'{"time":%.6f,"request_id":"%b","row":%b,"answer":%b}\n'
_MANY = b'{"time":%.6f,"request_id":"%b","rows":%b,"answer":%b}\n'
_dumps = orjson.dumps
Rows = tuple[list[Values], Batch]  # validated, and the same as arrays
Counted = tuple[Response, list[Prediction]]  # what the event loop still has to count
P = ParamSpec("P")
T = TypeVar("T")


class Predictor:
    """The prediction routes of one project."""

    def __init__(self, hosted: ServedProject) -> None:
        self._hosted = hosted
        self._append = None if hosted.ledger is None else hosted.ledger.append

    async def one(self, exchange: Request) -> Response:
        """`POST /predict`: one row."""
        body = await exchange.body()
        model = (
            await self._asked(exchange) if exchange.scope["query_string"] else self._hosted.live()
        )
        exchange.version = model.version
        if exchange.content_type != b"application/json":
            require_json(exchange)
        try:
            row = model.validator.parse_row(body)
        except RowsError as error:
            raise refused(error) from None
        exchange.parsed = perf_counter()
        return await self.row(exchange, model, row, {})

    async def row(
        self, exchange: Request, model: ServedModel, row: Values, more: Mapping[str, Any]
    ) -> Response:
        """Predict one validated row, and answer that and `more`, after it was appended to the ledger."""
        batch = model.validator.to_batch((row,))
        prediction = model.predict(batch) if model.inline else await model.run(batch)
        exchange.predicted = now = perf_counter()
        answer = model.answer(prediction)
        answer["model_version"] = model.version
        answer["latency_ms"] = round((now - exchange.started) * 1e3, 3)
        answer["prediction_id"] = exchange.id
        answer.update(more)
        encoded = _dumps(answer)
        if self._append is not None:
            self._append(_ONE % (time(), exchange.request_id, _dumps(row), encoded))
        return Response(encoded)

    async def many(self, exchange: Request) -> Response:
        """`POST /predict_batch`: a JSON array of rows, or a table."""
        body = await exchange.body()
        model = await self.model(exchange)
        if exchange.media_type() not in _JSON_TYPES:
            answer, parts = await off_loop(model, self._table, exchange, body, model)
        elif len(body) <= _INLINE_BYTES and model.inline:
            answer, parts = self._json_batch(exchange, body, model)
        else:
            answer, parts = await off_loop(model, self._json_batch, exchange, body, model)
        for part in parts:
            model.count(part)
        return answer

    def _table(self, exchange: Request, body: bytes, model: ServedModel) -> Counted:
        from windlass.serving.tabular import answer_table  # pyarrow, which most servers never need

        return answer_table(exchange, body, model, self._hosted.ledger)

    def _json_batch(self, exchange: Request, body: bytes, model: ServedModel) -> Counted:
        form = wanted(exchange, "json")
        rows, batch = parse_rows(model, body)
        exchange.parsed = perf_counter()
        prediction = model.predict(batch)
        exchange.predicted = perf_counter()
        _, encoded = self.record(exchange, model, rows, prediction)
        if form == "json":
            return Response(encoded), [prediction]
        from windlass.serving.tabular import as_table
        from windlass.tables.writer import prediction_table

        answer = prediction_table(prediction, model.classes)
        return as_table(exchange, model, [answer], form), [prediction]

    async def rows(
        self, exchange: Request, model: ServedModel, read: Callable[[ServedModel], Rows], size: int
    ) -> dict[str, Any]:
        """Predict rows that another protocol carried in a body of `size` bytes, and `read` reads.

        What is answered, and kept, is a batch. A large body is worked off the event loop, whole.
        """
        if size <= _INLINE_BYTES:
            rows, batch = read(model)
            exchange.parsed = perf_counter()
            prediction = await model.run(batch)
            exchange.predicted = perf_counter()
            answer = self.record(exchange, model, rows, prediction)[0]
        else:
            answer, prediction = await off_loop(model, self._read_batch, exchange, read, model)
        model.count(prediction)
        return answer

    def _read_batch(
        self, exchange: Request, read: Callable[[ServedModel], Rows], model: ServedModel
    ) -> tuple[dict[str, Any], Prediction]:
        rows, batch = read(model)
        exchange.parsed = perf_counter()
        prediction = model.predict(batch)
        exchange.predicted = perf_counter()
        return self.record(exchange, model, rows, prediction)[0], prediction

    def record(
        self, exchange: Request, model: ServedModel, rows: list[Values], prediction: Prediction
    ) -> tuple[dict[str, Any], bytes]:
        """The batch answer and its JSON, after it was appended to the ledger."""
        answer = model.answers(prediction)
        answer["model_version"] = model.version
        answer["latency_ms"] = round((perf_counter() - exchange.started) * 1e3, 3)
        answer["prediction_id"] = exchange.id
        encoded = _dumps(answer)
        if self._append is not None:
            self._append(_MANY % (time(), exchange.request_id, _dumps(rows), encoded))
        return answer, encoded

    async def model(self, exchange: Request) -> ServedModel:
        """The version that the path or `?version=` names, else the live one. Raises Problem 404, 409 or 503."""
        model = await self._asked(exchange)
        exchange.version = model.version
        return model

    async def _asked(self, exchange: Request) -> ServedModel:
        name = exchange.path_params.get("version")
        if name is None and exchange.scope["query_string"]:
            name = exchange.query().get("version")
        return self._hosted.live() if name is None else await self._hosted.named(name)


async def off_loop(
    model: ServedModel, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run long work on the model's thread, while the event loop answers others."""
    run = partial(work, *args, **kwargs)
    return await model.executor.submit(run)


def require_json(exchange: Request) -> None:
    """Raise Problem 415 unless the body is said to be JSON."""
    if exchange.media_type() not in _JSON_TYPES:
        raise unsupported(["application/json"])


def parse_rows(model: ServedModel, body: bytes) -> Rows:
    """A JSON array of rows. Raises Problem 400 or 422."""
    try:
        rows, batch = model.validator.parse_batch(body)
    except RowsError as error:
        raise refused(error) from None
    if not rows:
        raise invalid([{"loc": [], "msg": "At least one row is needed"}])
    return rows, batch


def refused(error: RowsError) -> Problem:
    """The problem that rows which do not fit are: 400 where the body is no JSON, 422 where it does not fit."""
    if error.malformed:
        return malformed("The body is not valid JSON.")
    return invalid(error.faults)
