"""Validates the body of `POST /train` with the schemas that the project declares."""

from collections.abc import Mapping
from typing import Any

from windlass.control.error_mapping import fault, unprocessable
from windlass.control.request_body import BodySchema, Json
from windlass.core.project_spec import CandidateSpec, ProjectSpec
from windlass.errors import Fault
from windlass.training.plan import DEFAULT_SEED, DEFAULT_TEST_SIZE, MAX_SEED

_EXACT = 2**53  # from here on, not every integer is a JSON number

_SHARED_PROPERTIES: Json = {
    "seed": {
        "type": "integer",
        "minimum": 0,
        "maximum": MAX_SEED,
        "default": DEFAULT_SEED,
        "description": "Seed of the split, the model and everything else that is random.",
    },
    "test_size": {
        "type": "number",
        "exclusiveMinimum": 0,
        "exclusiveMaximum": 1,
        "default": DEFAULT_TEST_SIZE,
        "description": "Share of the rows to hold out.",
    },
}


_SNAPSHOT: Json = {
    "type": ["integer", "null"],
    "minimum": 1,
    "maximum": _EXACT,
    "default": None,
    "description": "Number of the snapshot of features to train on; null for the newest.",
}


class TrainBodySchema:
    """Validates bodies with the JSON Schemas of a project's candidates; runs no code of the project."""

    def __init__(self, declaration: ProjectSpec) -> None:
        self.declaration = declaration
        self._models = {model.name: model for model in declaration.models}
        self._shared = shared_properties(declaration)
        names = {
            name
            for model in self._models.values()
            for name in model.hyperparameters.get("properties", {})
        }
        self._schemas_by_model = {
            name: BodySchema(model_schema(model, self._shared, default=True), names=names)
            for name, model in self._models.items()
        }

    def request(self, body: object) -> Json:
        """Returns the request of the job, with every default but those of hyperparameters.

        Raises Problem 422, which names each field at fault.
        """
        if not isinstance(body, dict):
            raise unprocessable([{"loc": [], "msg": 'The value is not of type "object".'}], _DETAIL)
        name = self._model(body)
        faults = [self._explain(name, wrong) for wrong in self._schemas_by_model[name].faults(body)]
        faults = faults or _inexact_integers(self._models[name], body)
        if faults:
            raise unprocessable(faults, _DETAIL)
        rest = {key: value for key, value in body.items() if key not in ("model", *self._shared)}
        request: Json = {
            "model": name,
            "hyperparameters": rest,
            "seed": int(body.get("seed", DEFAULT_SEED)),
            "test_size": float(body.get("test_size", DEFAULT_TEST_SIZE)),
            "folder": None,
            "data": None,
        }
        if body.get("snapshot") is not None:
            request["snapshot"] = int(body["snapshot"])
        return request

    def _model(self, body: Mapping[str, Any]) -> str:
        name = body.get("model", next(iter(self._models), None))
        if not isinstance(name, str) or name not in self._models:
            names = ", ".join(self._models) or "none"
            raise unprocessable([fault("model", f"Use one of: {names}.")], _DETAIL)
        return name

    def _explain(self, chosen: str, wrong: Fault) -> Fault:
        """Returns the fault; that of a hyperparameter of another model says so."""
        name = wrong["loc"][0] if len(wrong["loc"]) == 1 else None
        properties = self._models[chosen].hyperparameters.get("properties", {})
        if name is None or name in properties or name in ("model", *self._shared):
            return wrong
        owners = [
            model.name
            for model in self._models.values()
            if name in model.hyperparameters.get("properties", {})
        ]
        message = f"A hyperparameter of {' and '.join(owners)}, and this trains {chosen}."
        return {**wrong, "msg": message}


_DETAIL = "The parameters do not fit what the project declares; see errors."


def shared_properties(declaration: ProjectSpec) -> Json:
    """Returns the properties that every model has; of a project with a feature view, a snapshot too."""
    return (
        _SHARED_PROPERTIES
        if declaration.view is None
        else _SHARED_PROPERTIES | {"snapshot": _SNAPSHOT}
    )


def model_schema(model: CandidateSpec, shared: Json, *, default: bool = False) -> Json:
    """Returns the JSON Schema of a body that trains this model; the `default` one need not be named."""
    given = model.hyperparameters
    named = {"const": model.name, "description": "The model to train."}
    schema: Json = {
        "type": "object",
        "title": model.name,
        "properties": {"model": named, **given.get("properties", {}), **shared},
        "required": [*([] if default else ["model"]), *given.get("required", ())],
        "additionalProperties": False,
    }
    if model.description:
        schema["description"] = model.description
    if "$defs" in given:
        schema["$defs"] = given["$defs"]
    return schema


def body_schema(declaration: ProjectSpec, base: str) -> Json:
    """Returns the schema of the body for the OpenAPI document, one branch a model.

    `base` is its path in the document, such as `#/components/schemas/iris.Training`.
    """
    branches = []
    shared = shared_properties(declaration)
    for index, model in enumerate(declaration.models):
        schema = model_schema(model, shared, default=index == 0)
        branches.append(_rebased(schema, f"{base}/oneOf/{index}"))
    return {"oneOf": branches} if branches else {"type": "object"}


def _rebased(schema: Any, base: str) -> Any:
    """Returns the schema with its references changed to a path in a document."""
    if isinstance(schema, list):
        return [_rebased(part, base) for part in schema]
    if not isinstance(schema, dict):
        return schema
    moved = {name: _rebased(part, base) for name, part in schema.items()}
    reference = moved.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/"):
        moved["$ref"] = f"{base}{reference[1:]}"
    return moved


def _inexact_integers(model: CandidateSpec, body: Mapping[str, Any]) -> list[Fault]:
    """Returns the faults of integers that are too large to have been read exactly."""
    properties = model.hyperparameters.get("properties", {})
    return [
        fault(name, "The value is too large for an integer.")
        for name, value in body.items()
        if isinstance(value, float) and abs(value) >= _EXACT and _is_whole(properties.get(name, {}))
    ]


def _is_whole(schema: Json) -> bool:
    kinds = {part.get("type") for part in (schema, *schema.get("anyOf", ()))}
    return "integer" in kinds and "number" not in kinds
