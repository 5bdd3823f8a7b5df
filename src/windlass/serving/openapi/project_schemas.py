"""Schemas that differ by project: its row, its classes or quantity, and the features of its view."""

from collections.abc import Iterable, Sequence

from pydantic import TypeAdapter

from windlass.core.bundle import Bundle
from windlass.core.feature_view import ViewRecord
from windlass.core.json_schema import json_schema
from windlass.serving.feature_routes import UNKNOWN
from windlass.serving.openapi.models import (
    EntityId,
    EntityIds,
    FeatureFields,
    FeatureValue,
    PredictionFields,
)
from windlass.serving.predict_by_id import UNPROCESSABLE
from windlass.serving.protocols.feast import MAX_FEATURES
from windlass.serving.served_project import ServedProject
from windlass.web.openapi import Json, reference
from windlass.web.openapi_models import component_schemas

ENTITY_ID: Json = TypeAdapter(EntityId).json_schema()
_ENTITY_IDS: Json = TypeAdapter(EntityIds).json_schema()
_FEATURE: Json = TypeAdapter(FeatureValue).json_schema()
_FIELDS = component_schemas([PredictionFields, FeatureFields])
_PREDICTION_FIELDS: Json = _FIELDS["PredictionFields"]["properties"]
_FEATURE_FIELDS: Json = _FIELDS["FeatureFields"]["properties"]


def project_schemas(project: ServedProject) -> Json:
    """Returns the schemas of one project by name, without the project's name before it."""
    schemas = _bundle_schemas(project.bundle)
    view = None if project.online is None else project.online.view
    if view is not None:
        schemas |= _feature_schemas(view, project.name, schemas["Prediction"])
    return schemas


def _bundle_schemas(bundle: Bundle | None) -> Json:
    if bundle is None:  # no version is live, and the next one may have any columns
        unknown: Json = {"type": "object"}
        return {
            "Row": unknown,
            "Values": _list({}),
            "Prediction": unknown,
            "Predictions": unknown,
        }
    row, target = json_schema(bundle.schema.row), bundle.target
    return {
        "Row": row,
        "Values": _values(row),
        "Prediction": _object({**target.answer_schema(), **_PREDICTION_FIELDS}),
        "Predictions": _object({**target.batch_schema(), **_PREDICTION_FIELDS}),
    }


def _values(row: Json) -> Json:
    """Returns the schema of a row as the list of its values, in declared order."""
    columns = list(row["properties"].values())
    return {
        "type": "array",
        "description": f"The values of {', '.join(row['properties'])}, in this order.",
        "items": {"anyOf": _distinct(map(_type_only, columns))},
        "minItems": len(columns),
        "maxItems": len(columns),
    }


def _type_only(column: Json) -> Json:
    """Returns the type of a column without what is its alone, such as its bounds and its description."""
    if "anyOf" in column:
        return {"anyOf": [_type_only(kind) for kind in column["anyOf"]]}
    return {"type": column["type"]}


def _distinct(schemas: Iterable[Json]) -> list[Json]:
    distinct: list[Json] = []
    for schema in schemas:
        distinct += [] if schema in distinct else [schema]
    return distinct


def _feature_schemas(view: ViewRecord, project: str, prediction: Json) -> Json:
    features = _object(dict.fromkeys(view.features, _FEATURE))
    computed_at = {"type": "string", "format": "date-time"}
    names = {"view": {"const": view.name}}
    missing = _missing(view, "features", [UNKNOWN])
    return {
        "Features": _object(
            {view.entity: ENTITY_ID, "features": features, **_FEATURE_FIELDS, "computed_at": computed_at, **names}
        ),
        "ManyFeatures": _results(reference(f"{project}.Features"), missing),
        "OnlineFeaturesQuery": _online_features_query(view),
        **_predictions_by_id(view, reference(f"{project}.Row"), prediction),
    }  # fmt: skip


def _predictions_by_id(view: ViewRecord, row: Json, prediction: Json) -> Json:
    """Returns the schemas of the answers of `/predict/{id}` and `/predict_by_id`."""
    if "properties" not in prediction:  # no version is live
        return {"PredictionById": {"type": "object"}, "PredictionsById": {"type": "object"}}
    fields: Json = prediction["properties"]
    used = {"features": row, **_FEATURE_FIELDS}
    outcome = {
        name: schema
        for name, schema in fields.items()
        if name not in ("model_version", "latency_ms")
    }
    many = _results(
        _object({view.entity: ENTITY_ID, **outcome, **used}),
        _missing(view, "prediction", [UNKNOWN, UNPROCESSABLE]),
    )
    many["properties"] |= _PREDICTION_FIELDS
    many["required"] += list(_PREDICTION_FIELDS)
    return {"PredictionById": _object(fields | used), "PredictionsById": many}


def _online_features_query(view: ViewRecord) -> Json:
    """Returns the schema of the body of `/get-online-features`."""
    closed = {"additionalProperties": False}
    names = [f"{view.name}:{name}" for name in view.features]
    features = {**_list({"enum": names}), "minItems": 1, "maxItems": MAX_FEATURES}
    entities = _object({view.entity: _ENTITY_IDS}) | closed
    query = _object({"features": features, "entities": entities})
    query["properties"]["full_feature_names"] = {"type": "boolean", "default": False}
    return query | closed


def _results(present: Json, missing: Json) -> Json:
    results = _list({"anyOf": [present, missing]})
    return _object({"results": {**results, "description": "One for each id, in order."}})


def _missing(view: ViewRecord, field: str, errors: Sequence[str]) -> Json:
    """Returns the schema of a result without features or prediction; `errors` says why where they do not fit."""
    result = _object(
        {view.entity: ENTITY_ID, field: {"type": "null"}, "error": {"enum": list(errors)}}
    )
    if UNPROCESSABLE in errors:
        result["properties"]["errors"] = _list(reference("Fault"))
    return result


def instances(projects: Sequence[str]) -> Json:
    """Returns the schema of the body of V1's and Vertex AI's predict routes."""
    schema = _object({"instances": _rows(projects)})
    schema["properties"]["parameters"] = {}
    return schema


def invocations(project: str) -> Json:
    """Returns the schema of the body of `/invocations`: exactly one of MLflow's four formats."""
    rows = _rows([project])
    split = _object({"columns": _list({"type": "string"}), "data": _list(_list({}))})
    columns = {"type": "object", "additionalProperties": _list({})}
    formats = {
        "dataframe_split": split,
        "dataframe_records": {**_list(reference(f"{project}.Row")), "minItems": 1},
        "instances": rows,
        "inputs": {"anyOf": [columns, rows]},
    }
    return {"oneOf": [_one_format(name, schema) for name, schema in formats.items()]}


def _one_format(name: str, schema: Json) -> Json:
    content = _object({name: schema})
    content["properties"]["params"] = {}
    return content | {"additionalProperties": False}


def _rows(projects: Sequence[str]) -> Json:
    """Returns the schema of rows as objects or as lists of values, of any of these projects."""
    kinds = [reference(f"{name}.{kind}") for name in projects for kind in ("Row", "Values")]
    return {**_list({"anyOf": kinds}), "minItems": 1}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _object(properties: Json) -> Json:
    return {"type": "object", "required": list(properties), "properties": properties}
