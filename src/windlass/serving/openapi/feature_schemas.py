"""The schemas of features, and of predictions by id, that OpenAPI names."""

from collections.abc import Sequence

from windlass.core.feature_view import ViewRecord
from windlass.serving.feature_routes import LEAST, MAX_IDS, MOST, UNKNOWN
from windlass.serving.predict_by_id import UNFIT
from windlass.serving.protocols.feast import MAX_FEATURES
from windlass.web.openapi import Json

_TEXT: Json = {"type": "string"}
_DAY: Json = {"type": "string", "format": "date"}
_MOMENT: Json = {"type": "string", "format": "date-time"}
ID: Json = {"type": "integer", "format": "int64", "minimum": LEAST, "maximum": MOST}
_IDS: Json = {"type": "array", "items": ID, "minItems": 1, "maxItems": MAX_IDS}
_VALUE: Json = {"type": ["number", "string", "boolean", "null"]}
_KNOWN: Json = {
    "as_of": {**_DAY, "description": "The day of the newest event that they tell of."},
    "stale": {
        "type": "boolean",
        "description": "Whether they were not brought up to date for longer than the view allows.",
    },
    "view_version": {**_TEXT, "description": "Which version of the view computed them."},
}

SHARED: Json = {
    "Ids": {
        "anyOf": [
            {"type": "object", "required": ["ids"], "properties": {"ids": _IDS}, "additionalProperties": False},
            _IDS,
        ]
    },
    "OnlineFeatures": {
        "type": "object",
        "description": "A result a name, with a value an entity.",
        "required": ["metadata", "results"],
        "properties": {
            "metadata": {
                "type": "object",
                "required": ["feature_names"],
                "properties": {"feature_names": {"type": "array", "items": _TEXT}},
            },
            "results": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["values", "statuses", "event_timestamps"],
                    "properties": {
                        "values": {"type": "array", "items": _VALUE},
                        "statuses": {
                            "type": "array",
                            "items": {"enum": ["PRESENT", "NULL_VALUE", "NOT_FOUND"]},
                        },
                        "event_timestamps": {"type": "array", "items": _MOMENT},
                    },
                },
            },
        },
    },
}  # fmt: skip


def feature_schemas(view: ViewRecord, project: str, prediction: Json) -> Json:
    """What is said of one project's features; `prediction` is the schema of its `/predict`."""
    row = {"$ref": f"#/components/schemas/{project}.Row"}
    return {
        "Features": _features(view),
        "ManyFeatures": _results(
            {"$ref": f"#/components/schemas/{project}.Features"},
            _without(view, "features", [UNKNOWN]),
        ),
        "OnlineFeaturesQuery": _query(view),
        **_predictions(view, row, prediction),
    }


def _features(view: ViewRecord) -> Json:
    return _object(
        {
            view.entity: ID,
            "features": _object(dict.fromkeys(view.features, _VALUE)),
            **_KNOWN,
            "computed_at": {**_MOMENT, "description": "When they were computed from its events."},
            "view": {"const": view.name},
        }
    )


def _predictions(view: ViewRecord, row: Json, prediction: Json) -> Json:
    """Of `/predict/{id}` and `/predict_by_id`. Where nothing is live, nothing is known of predictions."""
    used = {"features": row, **_KNOWN}
    if "properties" not in prediction:
        return {"PredictionById": {"type": "object"}, "PredictionsById": {"type": "object"}}
    one = prediction["properties"]
    shared = {name: one[name] for name in ("model_version", "latency_ms", "prediction_id")}
    outcome = {name: one[name] for name in one if name not in ("model_version", "latency_ms")}
    many = _results(
        _object({view.entity: ID, **outcome, **used}),
        _without(view, "prediction", [UNKNOWN, UNFIT]),
    )
    many["properties"] |= shared
    many["required"] += shared
    return {"PredictionById": _object(one | used), "PredictionsById": many}


def _query(view: ViewRecord) -> Json:
    names = [f"{view.name}:{name}" for name in view.features]
    features = {"type": "array", "items": {"enum": names}, "minItems": 1, "maxItems": MAX_FEATURES}
    closed = {"additionalProperties": False}
    described = _object({"features": features, "entities": _object({view.entity: _IDS}) | closed})
    described["properties"]["full_feature_names"] = {"type": "boolean", "default": False}
    return described | closed


def _results(good: Json, none: Json) -> Json:
    return _object(
        {
            "results": {
                "type": "array",
                "description": "One for each id, in order.",
                "items": {"anyOf": [good, none]},
            }
        }
    )


def _without(view: ViewRecord, what: str, reasons: Sequence[str]) -> Json:
    """A result that there is none; where features do not fit the row, `errors` says why."""
    described = _object({view.entity: ID, what: {"type": "null"}, "error": {"enum": list(reasons)}})
    if UNFIT in reasons:
        described["properties"]["errors"] = {
            "$ref": "#/components/schemas/Problem/properties/errors"
        }
    return described


def _object(properties: Json) -> Json:
    return {"type": "object", "required": list(properties), "properties": properties}
