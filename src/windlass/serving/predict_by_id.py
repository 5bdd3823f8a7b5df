"""Prediction by id: the features that are known of an entity now are its row, and are predicted like any other.

An id is nowhere kept: the ledger has the features, and nothing that says whose they are.
"""

import logging
from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING

import orjson

from windlass.core.batch import Prediction
from windlass.core.row_validator import Values
from windlass.errors import RowsError
from windlass.serving.feature_routes import body_ids, path_id, unknown
from windlass.serving.model import INLINE_ROWS, ServedModel
from windlass.serving.online_features import OnlineFeatures
from windlass.serving.predict import Predictor, off_loop, require_json
from windlass.web.messages import Request, Response
from windlass.web.openapi import Json
from windlass.web.problems import Problem

if TYPE_CHECKING:
    from windlass.features.online.reader import Features

    _Found = Sequence[Features | None]

UNFIT = "unfit"  # features that the model's row does not allow, or of another view than it was trained on

_log = logging.getLogger("windlass.serving")


class PredictById:
    """The routes of one project that predict by id."""

    def __init__(self, predictor: Predictor, online: OnlineFeatures) -> None:
        self._predictor = predictor
        self._online = online
        self._strange: set[tuple[str, str]] = (
            set()
        )  # versions, and views that they were not trained on

    async def one(self, exchange: Request) -> Response:
        """`POST /predict/{id}`: as `/predict`, and the features used."""
        entity = path_id(exchange)
        model = await self._predictor.model(exchange)
        exchange.parsed = perf_counter()
        features = await self._online.get(entity)
        exchange.fetched = perf_counter()
        try:
            row = self._row(model, features)
        except RowsError as error:
            raise _unfit(model, error) from None
        return await self._predictor.row(exchange, model, row, _used(features, row))

    async def many(self, exchange: Request) -> Response:
        """`POST /predict_by_id`: a prediction an entity, in order; one that cannot be predicted fails no other."""
        require_json(exchange)
        entities = body_ids(await exchange.body())
        model = await self._predictor.model(exchange)
        exchange.parsed = perf_counter()
        found = await self._online.get_many(entities)
        exchange.fetched = perf_counter()
        if model.inline and len(entities) <= INLINE_ROWS:
            answer, prediction = self._predict(exchange, model, entities, found)
        else:
            work = self._predict
            answer, prediction = await off_loop(model, work, exchange, model, entities, found)
        if prediction is not None:
            model.count(prediction)
        return answer

    def _predict(
        self, exchange: Request, model: ServedModel, entities: Sequence[int], found: "_Found"
    ) -> tuple[Response, Prediction | None]:
        results, fitting = self._fit(model, entities, found)
        rows = [row for *_, row in fitting]
        prediction = model.predict(model.validator.to_batch(rows)) if rows else None
        exchange.predicted = perf_counter()
        if prediction is not None:
            kept, _ = self._predictor.record(exchange, model, rows, prediction)
            for index, (result, features, row) in enumerate(fitting):
                result.update(_outcome(kept, index) | _used(features, row))
                result["prediction_id"] = f"{exchange.id}.{index}"
        answer = {
            "results": results,
            "model_version": model.version,
            "latency_ms": round((perf_counter() - exchange.started) * 1e3, 3),
            "prediction_id": exchange.id,
        }
        return Response(orjson.dumps(answer)), prediction

    def _fit(
        self, model: ServedModel, entities: Sequence[int], found: "_Found"
    ) -> tuple[list[Json], "list[tuple[Json, Features, Values]]"]:
        """A result an entity, to be filled where its features fit the row, and those that do with their rows."""
        view = self._online.declared
        results: list[Json] = []
        fitting: list[tuple[Json, Features, Values]] = []
        for entity, features in zip(entities, found, strict=True):
            if features is None:
                results.append(unknown(view, entity, "prediction"))
                continue
            result: Json = {view.entity: entity}
            try:
                fitting.append((result, features, self._row(model, features)))
            except RowsError as error:
                result |= {"prediction": None, "error": UNFIT, "errors": error.faults}
            results.append(result)
        return results, fitting

    def _row(self, model: ServedModel, features: "Features") -> Values:
        """Features as a row, by the row's own validator. Raises RowsError."""
        if model.view is not None and features.view != model.view:
            raise self._of_another_view(model, features.view)
        return model.validator.parse_row(orjson.dumps(features.values))

    def _of_another_view(self, model: ServedModel, view: str) -> RowsError:
        """The fault of the whole row; logged when it is first met."""
        if (model.version, view) not in self._strange:
            self._strange.add((model.version, view))
            _log.warning(
                "features of another view",
                extra={
                    "project": self._online.project,
                    "version": model.version,
                    "trained_view_version": model.view,
                    "view_version": view,
                },
            )
        advice = f"Train again, or materialise a snapshot of view {model.view}."
        told = f"The features are of view {view}, and version {model.version} was trained on view {model.view}."
        return RowsError([{"loc": [], "msg": f"{told} {advice}"}])


def _used(features: "Features", row: Values) -> Json:
    return {
        "features": row,
        "as_of": features.as_of,
        "stale": features.stale,
        "view_version": features.view,
    }


def _outcome(kept: Json, index: int) -> Json:
    """What a batch's answer says of one row, as `/predict` says it."""
    outcome = kept["predictions"][index]
    if "class_probabilities" not in kept:
        return {"prediction": outcome}
    shares = kept["class_probabilities"][index]
    return {"predicted_label": outcome, "prediction": outcome, "class_probabilities": shares}


def _unfit(model: ServedModel, error: RowsError) -> Problem:
    of_a_cell = error.faults[0]["loc"]
    told = f"The features of this id do not fit the row of version {model.version}; see errors."
    return Problem(409, told if of_a_cell else str(error), error.faults)
