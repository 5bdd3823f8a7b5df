"""The schemas of bodies and answers that OpenAPI names."""

from collections.abc import Sequence
from typing import Any

from windlass.core.bundle import TargetRecord
from windlass.core.target import class_key

Json = dict[str, Any]

_NUMBER = {"type": "number"}
_TEXT = {"type": "string"}
_SHARED: Json = {
    "model_version": {"type": "string", "description": "The version that answered."},
    "latency_ms": {
        "type": "number",
        "minimum": 0,
        "description": "Milliseconds from the request to the prediction.",
    },
    "prediction_id": {
        "type": "string",
        "description": "Names the prediction in the ledger and in outcomes.",
    },
}

ANSWERS: Json = {
    "Any": {"type": "object"},
    "Health": {"type": "object", "required": ["status"], "properties": {"status": _TEXT}},
    "Text": {"type": "string"},
    "Status": {
        "type": "object",
        "description": "Of one project; of several, their list in `projects`.",
        "required": ["uptime_seconds"],
        "properties": {
            "uptime_seconds": {"type": "number", "minimum": 0},
            "project": _TEXT,
            "ready": {"type": "boolean"},
            "reason": {"type": ["string", "null"], "description": "Why it is not ready."},
            "live_version": {"type": ["string", "null"]},
            "live_since": {"type": ["number", "null"], "description": "Seconds since 1970."},
            "stage": {"enum": ["production", "archived", None]},
            "engine": {"enum": ["onnx", "native", None]},
            "bundle_digest": {"type": ["string", "null"]},
            "refused": {
                "type": ["object", "null"],
                "description": "A version that was to be live and is not fit; the one before goes on.",
                "properties": {"version": _TEXT, "reason": _TEXT, "since": _NUMBER},
            },
            "registry": {
                "type": ["object", "null"],
                "description": "Whether it can be reached; null where a bundle is served by itself.",
                "properties": {
                    "reachable": {"type": "boolean"},
                    "since": _NUMBER,
                    "reason": {"type": ["string", "null"]},
                },
            },
            "features": {
                "type": ["object", "null"],
                "description": "The feature view, and what of it was materialised last; null without a view.",
                "properties": {
                    "view": _TEXT,
                    "view_version": _TEXT,
                    "trained_view_version": {
                        "type": ["string", "null"],
                        "description": "Of the view that the live version was trained on, where its bundle says so.",
                    },
                    "reason": {
                        "type": ["string", "null"],
                        "description": "Why they cannot be read.",
                    },
                    "materialised": {
                        "type": ["object", "null"],
                        "properties": {
                            "snapshot": {"type": "integer"},
                            "view_version": _TEXT,
                            "materialised_at": _NUMBER,
                            "newest_event": {"type": ["string", "null"], "format": "date"},
                            "entities": {"type": "integer", "minimum": 0},
                            "stale": {"type": "boolean"},
                        },
                    },
                },
            },
            "requests": {"type": "number", "minimum": 0},
            "errors": {"type": "number", "minimum": 0, "description": "Answers 4xx and 5xx."},
            "latency_seconds": {
                "type": "object",
                "additionalProperties": {"type": ["number", "null"]},
            },
            "predictions": {"type": "number", "minimum": 0, "description": "Rows predicted."},
            "class_mix": {"type": "object", "additionalProperties": {"type": "number"}},
            "ledger": {"type": "boolean"},
            "drift": {"type": ["object", "null"]},
            "projects": {"type": "array", "items": {"$ref": "#/components/schemas/Status"}},
        },
    },
    "InstancePredictions": {
        "type": "object",
        "required": ["predictions"],
        "properties": {
            "predictions": {"type": "array", "description": "One for each row, in order."}
        },
    },
    "Problem": {
        "type": "object",
        "description": "RFC 9457 problem details. They never echo what was sent.",
        "required": ["type", "title", "status", "detail", "instance"],
        "properties": {
            "type": _TEXT,
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": _TEXT,
            "instance": _TEXT,
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["loc", "msg"],
                    "properties": {
                        "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
                        "msg": _TEXT,
                    },
                },
            },
        },
    },
    "V2Error": {"type": "object", "required": ["error"], "properties": {"error": _TEXT}},
    "V2Response": {
        "type": "object",
        "required": ["model_name", "model_version", "id", "outputs"],
        "properties": {
            "model_name": _TEXT,
            "model_version": _TEXT,
            "id": _TEXT,
            "outputs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name", "shape", "datatype"],
                    "properties": {
                        "name": _TEXT,
                        "shape": {"type": "array", "items": {"type": "integer"}},
                        "datatype": _TEXT,
                        "data": {"type": "array"},
                    },
                },
            },
        },
    },
}

# of a project that has no live version yet
UNKNOWN: Json = {
    "Row": {"type": "object"},
    "Values": {"type": "array"},
    "Prediction": {"type": "object"},
    "Predictions": {"type": "object"},
}

V2_REQUEST: Json = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": _TEXT,
        "parameters": {"type": "object"},
        "inputs": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "shape", "datatype"],
                "properties": {
                    "name": _TEXT,
                    "shape": {
                        "type": "array",
                        "items": {"type": "integer", "minimum": 0},
                        "minItems": 1,
                    },
                    "datatype": _TEXT,
                    "parameters": {"type": "object"},
                    "data": {"type": "array"},
                },
            },
        },
        "outputs": {
            "type": "array",
            "items": {"type": "object", "required": ["name"], "properties": {"name": _TEXT}},
        },
    },
}


def one_answer(target: TargetRecord) -> Json:
    """The answer of `/predict`."""
    if target.classes is None:
        properties = {"prediction": _quantity(target), **_SHARED}
    else:
        label = _label(target)
        properties = {
            "predicted_label": label,
            "prediction": label,
            "class_probabilities": _shares(target),
            **_SHARED,
        }
    return {"type": "object", "required": list(properties), "properties": properties}


def batch_answer(target: TargetRecord) -> Json:
    """The answer of `/predict_batch`. Row i is `{prediction_id}.{i}` in the ledger."""
    item = _quantity(target) if target.classes is None else _label(target)
    properties: Json = {"predictions": {"type": "array", "items": item}}
    if target.classes is not None:
        properties["class_probabilities"] = {"type": "array", "items": _shares(target)}
    properties |= _SHARED
    return {"type": "object", "required": list(properties), "properties": properties}


def values(row: Json) -> Json:
    """A row as the list of its values, in declared order."""
    columns = list(row["properties"].values())
    return {
        "type": "array",
        "description": f"The values of {', '.join(row['properties'])}, in this order.",
        "prefixItems": columns,
        "items": False,
        "minItems": len(columns),
    }


def instances(projects: Sequence[str]) -> Json:
    """The body of V1's and Vertex AI's predict routes."""
    return {
        "type": "object",
        "required": ["instances"],
        "properties": {"instances": _rows(projects), "parameters": {}},
    }


def _rows(projects: Sequence[str]) -> Json:
    """Rows as objects or as lists of values, of any of these projects."""
    kinds = [
        {"$ref": f"#/components/schemas/{name}.{form}"}
        for name in projects
        for form in ("Row", "Values")
    ]
    return {"type": "array", "minItems": 1, "items": {"anyOf": kinds}}


def invocations(project: str) -> Json:
    """The body of `/invocations`: exactly one of MLflow's four shapes."""
    row = {"$ref": f"#/components/schemas/{project}.Row"}
    rows = _rows([project])
    split = {
        "type": "object",
        "required": ["columns", "data"],
        "properties": {
            "columns": {"type": "array", "items": _TEXT},
            "data": {"type": "array", "items": {"type": "array"}},
        },
    }
    columns = {"type": "object", "additionalProperties": {"type": "array"}}
    shapes = {
        "dataframe_split": split,
        "dataframe_records": {"type": "array", "minItems": 1, "items": row},
        "instances": rows,
        "inputs": {"anyOf": [columns, rows]},
    }
    return {
        "oneOf": [
            {
                "type": "object",
                "required": [name],
                "properties": {name: shape, "params": {}},
                "additionalProperties": False,
            }
            for name, shape in shapes.items()
        ]
    }


def _quantity(target: TargetRecord) -> Json:
    return {
        "type": "number",
        "description": f"{target.name}, in {target.unit}" if target.unit else target.name,
    }


def _label(target: TargetRecord) -> Json:
    return {"enum": list(target.classes or ()), "description": target.name}


def _shares(target: TargetRecord) -> Json:
    keys = [class_key(label) for label in target.classes or ()]
    share = {"type": "number", "minimum": 0, "maximum": 1}
    return {
        "type": "object",
        "required": keys,
        "properties": dict.fromkeys(keys, share),
        "additionalProperties": False,
    }
