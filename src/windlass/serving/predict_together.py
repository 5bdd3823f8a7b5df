"""`/predict` for requests that arrive together: one write to the ledger before all of their responses."""

from collections.abc import Sequence
from time import time
from typing import Any

from windlass.core.row_validator import Values
from windlass.errors import EngineError, LedgerError, RejectedRowsError
from windlass.monitoring.ledger_record import encode_row
from windlass.serving.model import ServedModel
from windlass.serving.predict import encode_answer, read_row, row_rejected
from windlass.serving.served_project import ServedProject
from windlass.web.messages import Request, Response
from windlass.web.problems import Problem

_NOTHING: dict[str, Any] = {}
Outcome = Response | Exception


class PredictTogether:
    """Batch handler of `POST /predict`: answers as `Predictor.predict` would answer each request by itself."""

    def __init__(self, project: ServedProject) -> None:
        self._project = project
        self._append = None if project.ledger is None else project.ledger.append

    def is_ready(self) -> bool:
        """Returns whether there is a live model that is fast enough for the event loop."""
        model = self._project.model
        return model is not None and model.inline

    def answer(self, requests: Sequence[Request]) -> list[Outcome]:
        """Returns for each request its response, or the error that it is answered with."""
        model = self._project.live_model()
        outcomes: list[Outcome] = []
        lines = []
        now = time()
        for request in requests:
            try:
                row = read_row(request, model, request.whole_body(model.max_row_bytes))
                encoded = _predict(request, model, row)
            except (Problem, EngineError) as error:
                outcomes.append(error)
                continue
            outcomes.append(Response(encoded))
            lines.append(encode_row(now, request.request_id, row, encoded))
        if lines and self._append is not None:
            try:
                self._append(b"".join(lines))
            except LedgerError as error:
                return [error if isinstance(outcome, Response) else outcome for outcome in outcomes]
        return outcomes


def _predict(request: Request, model: ServedModel, row: Values) -> bytes:
    """Returns the JSON answer of a row. Raises Problem 422 or EngineError.

    Each row is predicted by itself: with others its probabilities could differ in the last digit.
    """
    try:
        prediction = model.predict(model.validator.to_batch((row,)))
    except RejectedRowsError as error:
        raise row_rejected(error) from None
    return encode_answer(request, model, prediction, _NOTHING)
