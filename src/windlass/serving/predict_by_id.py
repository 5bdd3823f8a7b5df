"""Prediction by id: the stored features of an entity are its row, and are predicted like any other row.

Ids are never stored: the ledger has the features, without the entity that they belong to.
"""

import logging
from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING

import orjson

from windlass.core.batch import Prediction
from windlass.core.entity_ids import EntityId
from windlass.core.on_demand import format_time
from windlass.core.row_validator import Values
from windlass.errors import Fault, RowsError
from windlass.serving.feature_routes import (
    TIME_OPTIONS,
    id_fields,
    missing_result,
    path_id,
    read_ids,
    served_event,
)
from windlass.serving.model import INLINE_ROWS, ServedModel
from windlass.serving.online_features import OnlineFeatures
from windlass.serving.predict import Predictor, require_json
from windlass.web.messages import Request, Response
from windlass.web.openapi import Json
from windlass.web.problems import Problem

if TYPE_CHECKING:
    from windlass.features.online.reader import Features

    _MaybeFeatures = Sequence[Features | None]
    _ResultRow = tuple[Json, Features, Values]

# the error of features that do not fit the model's row, or of another view than it was trained on
UNPROCESSABLE = "unfit"

_log = logging.getLogger("windlass.serving")


class PredictById:
    """Routes of one project that predict by id."""

    def __init__(self, predictor: Predictor, online: OnlineFeatures) -> None:
        self._predictor = predictor
        self._online = online
        # (version, view version that it was not trained on), of which each was logged once
        self._logged_mismatches: set[tuple[str, str]] = set()

    async def predict(self, request: Request) -> Response:
        """Answers `POST /predict/{id}`: as `/predict`, with the features used."""
        entity, at = path_id(await self._online.entity_ids(), request), served_event(request)
        model = await self._predictor.resolve_model(request)
        request.parsed = perf_counter()
        features = await self._online.get(entity, at)
        request.fetched = perf_counter()
        row, used = self.row(model, features)
        return await self._predictor.predict_row(request, model, row, used)

    def row(self, model: ServedModel, features: "Features") -> tuple[Values, Json]:
        """Returns the features as a validated row, and the fields of the answer that say so. Raises Problem 409."""
        try:
            row = self._row(model, features)
        except RowsError as error:
            raise _unprocessable(model, error) from None
        return row, _features_used(features, row)

    async def predict_many(self, request: Request) -> Response:
        """Answers `POST /predict_by_id`: one result for each entity, in order.

        An entity that cannot be predicted has an error in its result, and does not fail the others.
        """
        require_json(request)
        at = served_event(request)
        entities = await read_ids(self._online, request)
        model = await self._predictor.resolve_model(request)
        request.parsed = perf_counter()
        features = await self._online.get_many(entities, at)
        request.fetched = perf_counter()
        if model.inline and len(entities) <= INLINE_ROWS:
            answer, prediction = self._predict(request, model, entities, features)
        else:
            work = self._predict
            answer, prediction = await model.executor.submit(
                work, request, model, entities, features
            )
        if prediction is not None:
            model.count(prediction)
        return answer

    def _predict(
        self,
        request: Request,
        model: ServedModel,
        entities: Sequence[EntityId],
        stored: "_MaybeFeatures",
    ) -> tuple[Response, Prediction | None]:
        results, complete = self._build_rows(model, entities, stored)
        predictable, prediction = _predict_rows(model, complete)
        request.predicted = perf_counter()
        if prediction is not None:
            rows = [row for *_, row in predictable]
            self._predictor.record_batch(request, model, orjson.dumps(rows), prediction)
            answers = model.target.row_answers(prediction)
            for index, (result, features, row) in enumerate(predictable):
                result.update(answers[index] | _features_used(features, row))
                result["prediction_id"] = f"{request.id}.{index}"
        answer = {
            "results": results,
            "model_version": model.version,
            "latency_ms": round((perf_counter() - request.started) * 1e3, 3),
            "prediction_id": request.id,
        }
        return Response(orjson.dumps(answer)), prediction

    def _build_rows(
        self, model: ServedModel, entities: Sequence[EntityId], stored: "_MaybeFeatures"
    ) -> "tuple[list[Json], list[_ResultRow]]":
        """Returns a result for each entity, and (result, features, row) of those whose features fit the row."""
        view = self._online.required_view()
        results: list[Json] = []
        predictable: list[_ResultRow] = []
        for entity, features in zip(entities, stored, strict=True):
            if features is None:
                results.append(missing_result(view, entity, "prediction"))
                continue
            result: Json = id_fields(view, entity)
            try:
                predictable.append((result, features, self._row(model, features)))
            except RowsError as error:
                result |= _unprocessable_result(error.faults)
            results.append(result)
        return results, predictable

    def _row(self, model: ServedModel, features: "Features") -> Values:
        """Returns the features as a validated row. Raises RowsError."""
        if model.view_version is not None and features.view != model.view_version:
            raise self._view_mismatch(model, features.view)
        return model.validator.parse_row(orjson.dumps(features.values, option=TIME_OPTIONS))

    def _view_mismatch(self, model: ServedModel, view: str) -> RowsError:
        """Returns the fault of the whole row; logged the first time."""
        if (model.version, view) not in self._logged_mismatches:
            self._logged_mismatches.add((model.version, view))
            _log.warning(
                "features of another view",
                extra={
                    "project": self._online.project,
                    "version": model.version,
                    "trained_view_version": model.view_version,
                    "view_version": view,
                },
            )
        trained = model.view_version
        mismatch = f"The features are of view {view}, and version {model.version} was trained on view {trained}."
        advice = f"Train again, or materialise a snapshot of view {trained}."
        return RowsError([{"loc": [], "msg": f"{mismatch} {advice}"}])


def _predict_rows(
    model: ServedModel, rows: "list[_ResultRow]"
) -> "tuple[list[_ResultRow], Prediction | None]":
    """Returns the rows that the model predicts, and their prediction; the results of the others get an error."""
    if not rows:
        return rows, None
    batch = model.validator.to_batch([row for *_, row in rows])
    prediction, faults = model.predict_each(batch)
    for index, errors in faults.items():
        rows[index][0].update(_unprocessable_result(errors))
    predictable = [row for index, row in enumerate(rows) if index not in faults]
    if len(predictable) == len(rows):
        return rows, prediction
    return predictable, prediction.take(prediction.finite_rows()) if predictable else None


def _unprocessable_result(faults: Sequence[Fault]) -> Json:
    return {"prediction": None, "error": UNPROCESSABLE, "errors": faults}


def _features_used(features: "Features", row: Values) -> Json:
    return {
        "features": row,
        "as_of": format_time(features.as_of),
        "stale": features.stale,
        "view_version": features.view,
    }


def _unprocessable(model: ServedModel, error: RowsError) -> Problem:
    names_a_column = error.faults[0]["loc"]
    detail = f"The features of this id do not fit the row of version {model.version}; see errors."
    return Problem(409, detail if names_a_column else str(error), error.faults)
