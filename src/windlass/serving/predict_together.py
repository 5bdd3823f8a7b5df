"""Predictions for requests that arrive together: one write to the ledger before all of their responses.

Errors are kept without their tracebacks, whose frames refer to the lists that hold the errors.
"""

from collections.abc import Sequence
from time import perf_counter, time
from typing import TYPE_CHECKING, Any, Protocol

from windlass.core.entity_ids import EntityId
from windlass.core.row_validator import Values
from windlass.errors import EngineError, LedgerError, RejectedRowsError
from windlass.monitoring.ledger_record import encode_row
from windlass.serving.feature_routes import path_id
from windlass.serving.model import ServedModel
from windlass.serving.online_features import OnlineFeatures, unknown_entity
from windlass.serving.predict import encode_answer, read_row, row_rejected
from windlass.serving.served_project import ServedProject
from windlass.web.messages import Request, Response
from windlass.web.problems import Problem

if TYPE_CHECKING:
    from windlass.serving.predict_by_id import PredictById

# a validated row, and fields that its answer has beside the prediction
Row = tuple[Values, dict[str, Any]]
_NOTHING: dict[str, Any] = {}


class RowSource(Protocol):
    """Gives the rows that requests ask to predict, without waiting."""

    def is_ready(self) -> bool:
        """Returns whether rows can be read now."""

    def read(self, requests: Sequence[Request], model: ServedModel) -> list[Row | Problem]:
        """Returns for each request its row, or why it has none."""


class PredictTogether:
    """Batch handler of `/predict` and `/predict/{id}`: answers each request as its handler would."""

    def __init__(self, project: ServedProject, source: RowSource) -> None:
        self._project = project
        self._source = source
        self._append = None if project.ledger is None else project.ledger.append

    def is_ready(self) -> bool:
        """Returns whether there is a live model that is fast enough for the event loop, and rows can be read."""
        model = self._project.model
        return model is not None and model.inline and self._source.is_ready()

    def answer(self, requests: Sequence[Request]) -> list[Response | Exception]:
        """Returns for each request its response, or the error that it is answered with."""
        model = self._project.live_model()
        outcomes: list[Response | Exception] = []
        lines = []
        now = time()
        for request, row in zip(requests, self._source.read(requests, model), strict=True):
            if isinstance(row, Problem):
                outcomes.append(row)
                continue
            try:
                answer = _predict(request, model, row)
            except (Problem, EngineError) as error:
                outcomes.append(error.with_traceback(None))
                continue
            outcomes.append(Response(answer))
            lines.append(encode_row(now, request.request_id, row[0], answer))
        if lines and self._append is not None:
            try:
                self._append(b"".join(lines))
            except LedgerError as error:
                return [error if isinstance(outcome, Response) else outcome for outcome in outcomes]
        return outcomes


def _predict(request: Request, model: ServedModel, row: Row) -> bytes:
    """Returns the JSON answer of a row. Raises Problem 422 or EngineError.

    Each row is predicted by itself: with others its probabilities could differ in the last digit.
    """
    values, extra = row
    try:
        prediction = model.predict(model.validator.to_batch((values,)))
    except RejectedRowsError as error:
        raise row_rejected(error) from None
    return encode_answer(request, model, prediction, extra)


class BodyRows:
    """Rows in the bodies of requests."""

    def is_ready(self) -> bool:
        """Returns whether rows can be read now: always."""
        return True

    def read(self, requests: Sequence[Request], model: ServedModel) -> list[Row | Problem]:
        """Returns the validated row of each body, or Problem 400, 413, 415 or 422."""
        rows: list[Row | Problem] = []
        for request in requests:
            try:
                body = request.whole_body(model.max_row_bytes)
                rows.append((read_row(request, model, body), _NOTHING))
            except Problem as problem:
                rows.append(problem.with_traceback(None))
        return rows


class StoredRows:
    """Rows of the feature store, of the entities that paths name; read at once for all requests."""

    def __init__(self, by_id: "PredictById", online: OnlineFeatures) -> None:
        self._by_id = by_id
        self._online = online

    def is_ready(self) -> bool:
        """Returns whether the store is a file that is open and filled."""
        return self._online.is_readable_inline()

    def read(self, requests: Sequence[Request], model: ServedModel) -> list[Row | Problem]:
        """Returns the features of each entity as a row, or Problem 404, 409, 422 or 503."""
        rows: dict[Request, Row | Problem] = {}
        entities: dict[Request, EntityId] = {}
        try:
            ids = self._online.known_entity_ids()
        except Problem as problem:
            return [problem] * len(requests)
        for request in requests:
            try:
                entities[request] = path_id(ids, request)
            except Problem as problem:
                rows[request] = problem.with_traceback(None)
            else:
                request.version = model.version
                request.parsed = perf_counter()
        try:
            stored = self._online.read_inline(list(entities.values()))
        except Problem as problem:
            return [rows.get(request, problem) for request in requests]
        now = perf_counter()
        for request, features in zip(entities, stored, strict=True):
            request.fetched = 0.0 if features is None else now
            try:
                rows[request] = (
                    unknown_entity() if features is None else self._by_id.row(model, features)
                )
            except Problem as problem:
                rows[request] = problem.with_traceback(None)
        return [rows[request] for request in requests]
