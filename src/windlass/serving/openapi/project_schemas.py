"""Schemas that differ by project: its row, its classes or quantity, and the features of its view."""

from collections.abc import Iterable, Sequence

from pydantic import TypeAdapter

from windlass.core.bundle import Bundle
from windlass.core.entity_ids import EntityIds, IdType
from windlass.core.feature_view import ViewRecord
from windlass.core.json_schema import json_schema
from windlass.serving.feature_routes import MAX_IDS, UNKNOWN
from windlass.serving.openapi.models import (
    FeatureFields,
    FeatureValue,
    IntegerId,
    PredictionFields,
    TextId,
)
from windlass.serving.predict_by_id import UNPROCESSABLE
from windlass.serving.protocols.feast import MAX_FEATURES
from windlass.serving.served_project import ServedProject
from windlass.web.openapi import Json, reference
from windlass.web.openapi_models import component_schemas

_INTEGER_ID: Json = TypeAdapter(IntegerId).json_schema()
_TEXT_ID: Json = TypeAdapter(TextId).json_schema()
_ID_TYPES: dict[IdType, Json] = {
    "integer": _INTEGER_ID,
    "text": _TEXT_ID,
    "uuid": {**_TEXT_ID, "format": "uuid"},
}
_UNKNOWN_ID: Json = {"anyOf": [_INTEGER_ID, _TEXT_ID]}  # before anything is materialised
_FEATURE: Json = TypeAdapter(FeatureValue).json_schema()
_FIELDS = component_schemas([PredictionFields, FeatureFields])
_PREDICTION_FIELDS: Json = _FIELDS["PredictionFields"]["properties"]
_FEATURE_FIELDS: Json = _FIELDS["FeatureFields"]["properties"]


def project_schemas(project: ServedProject) -> Json:
    """Returns the schemas of one project by name, without the project's name before it."""
    schemas = _bundle_schemas(project.bundle)
    view = None if project.online is None else project.online.view
    if view is not None:
        assert project.online is not None
        ids = _id_schemas(view, project.online.stored_ids)
        schemas |= _feature_schemas(view, ids, project.name, schemas["Prediction"])
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


def _id_schemas(view: ViewRecord, ids: EntityIds | None) -> dict[str, Json]:
    """Returns the schema of each column of an id."""
    columns = view.entity_columns
    if ids is None or ids.columns != columns:
        return dict.fromkeys(columns, _UNKNOWN_ID)
    return {name: _ID_TYPES[kind] for name, kind in zip(columns, ids.types, strict=True)}


def _feature_schemas(
    view: ViewRecord, ids: dict[str, Json], project: str, prediction: Json
) -> Json:
    features = _object(dict.fromkeys(view.features, _FEATURE))
    computed_at = {"type": "string", "format": "date-time"}
    names = {"view": {"const": view.name}}
    missing = _missing(ids, "features", [UNKNOWN])
    return {
        "Features": _object(
            {**ids, "features": features, **_FEATURE_FIELDS, "computed_at": computed_at, **names}
        ),
        "EntityId": _path_id(ids),
        "Ids": _ids_body(ids),
        "ManyFeatures": _results(reference(f"{project}.Features"), missing),
        "OnlineFeaturesQuery": _online_features_query(view, ids),
        **_predictions_by_id(ids, reference(f"{project}.Row"), prediction),
    }  # fmt: skip


def _path_id(ids: dict[str, Json]) -> Json:
    """Returns the schema of an id in a path, before it is percent-encoded."""
    if len(ids) == 1:
        return next(iter(ids.values()))
    return {
        "type": "string",
        "description": f"The values of {', '.join(ids)}, each percent-encoded, between commas.",
        "pattern": f"^[^,]+(,[^,]+){{{len(ids) - 1}}}$",
    }


def _ids_body(ids: dict[str, Json]) -> Json:
    """Returns the schema of a body of ids: an object, or the list alone; of several columns, a list of objects."""
    closed = {"additionalProperties": False}
    entity = next(iter(ids.values())) if len(ids) == 1 else _object(ids) | closed
    many: Json = {**_list(entity), "minItems": 1, "maxItems": MAX_IDS}
    return {"anyOf": [_object({"ids": many}) | closed, many]}


def _predictions_by_id(ids: dict[str, Json], row: Json, prediction: Json) -> Json:
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
        _object({**ids, **outcome, **used}),
        _missing(ids, "prediction", [UNKNOWN, UNPROCESSABLE]),
    )
    many["properties"] |= _PREDICTION_FIELDS
    many["required"] += list(_PREDICTION_FIELDS)
    return {"PredictionById": _object(fields | used), "PredictionsById": many}


def _online_features_query(view: ViewRecord, ids: dict[str, Json]) -> Json:
    """Returns the schema of the body of `/get-online-features`."""
    closed = {"additionalProperties": False}
    names = [f"{view.name}:{name}" for name in view.features]
    features = {**_list({"enum": names}), "minItems": 1, "maxItems": MAX_FEATURES}
    lists = {
        name: {**_list(schema), "minItems": 1, "maxItems": MAX_IDS} for name, schema in ids.items()
    }
    entities = _object(lists) | closed
    query = _object({"features": features, "entities": entities})
    query["properties"]["full_feature_names"] = {"type": "boolean", "default": False}
    return query | closed


def _results(present: Json, missing: Json) -> Json:
    results = _list({"anyOf": [present, missing]})
    return _object({"results": {**results, "description": "One for each id, in order."}})


def _missing(ids: dict[str, Json], field: str, errors: Sequence[str]) -> Json:
    """Returns the schema of a result without features or prediction; `errors` says why where they do not fit."""
    result = _object({**ids, field: {"type": "null"}, "error": {"enum": list(errors)}})
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
