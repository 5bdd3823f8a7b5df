"""Operations of the inference routes: what each route is for, what it reads, answers and rejects."""

from collections.abc import Sequence
from dataclasses import replace

from windlass.core.feature_view import SERVED_EVENTS
from windlass.serving.content_negotiation import FORMATS
from windlass.serving.openapi.models import MODELS
from windlass.serving.openapi.project_schemas import (
    instances,
    invocations,
    project_schemas,
)
from windlass.serving.served_project import ServedProject
from windlass.web.openapi import BINARY, Json, OpenApiSection, Operation, json_content, reference
from windlass.web.openapi_models import component_schemas

TABLES = tuple(FORMATS)
_VERSION = {"version": "Another version than the live one: one that is or was in production."}
_AT: Json = {
    "at": {
        "enum": list(SERVED_EVENTS),
        "description": "The event that the features are for. `latest`: the entity's latest event, which they leave out."
        " `next`: an event that is not stored yet. The default is what the view serves.",
    }
}
# the errors of every route that reads rows
_READING = ("400", "404", "409", "413", "415", "422", "503")


def _rows_body(projects: Sequence[str]) -> Json:
    rows = {"type": "array", "items": reference(f"{projects[0]}.Row"), "minItems": 1}
    return {**json_content(rows), **dict.fromkeys(TABLES, BINARY)}


def _scoring_body(projects: Sequence[str]) -> Json:
    return {**json_content(invocations(projects[0])), "text/csv": {"schema": {"type": "string"}}}


def _v2(summary: str, answer: str = "Any", errors: Sequence[str] = ("503",)) -> Operation:
    about = "Open Inference Protocol V2."
    return Operation(summary, about, answer, errors=("400", *errors), protocol="V2")


_V2_MODEL = {
    "/config": _v2("Model configuration", errors=("404",)),
    "/stats": _v2("Model statistics", errors=("404",)),
    "": _v2("Model metadata", errors=("404", "503")),
    "/ready": _v2("Model readiness", errors=("404", "503")),
    "/infer": Operation(
        "Infer",
        "Open Inference Protocol V2: a tensor for each column, or a matrix of all numeric columns.",
        "V2Response",
        errors=("400", "404", "413", "503"),
        body="V2Request",
        protocol="V2",
    ),
}


_V2_VERSIONED = ("", "/config", "/infer")  # in the query, too


def _with_version(operation: Operation) -> Operation:
    return replace(operation, query=_VERSION)


_FEATURES = {
    "/features/{id}": Operation(
        "Features of an entity",
        "The stored features of the entity, and the values that follow from them today.",
        "{}.Features",
        errors=("404", "422", "503"),
        query=_AT,
        path={"id": "{}.EntityId"},
    ),
    "/features": Operation(
        "Features of many entities",
        '`{"ids": […]}`, or the list alone; in order. An unknown one does not fail the others.',
        "{}.ManyFeatures",
        errors=("400", "413", "415", "422", "503"),
        body="{}.Ids",
        query=_AT,
    ),
    "/predict/{id}": Operation(
        "Predict by id",
        "As `/predict`, with the features of the entity as its row. 409 where they do not fit it.",
        "{}.PredictionById",
        errors=("404", "409", "422", "503"),
        query=_VERSION | _AT,
        path={"id": "{}.EntityId"},
    ),
    "/predict_by_id": Operation(
        "Predict many by id",
        '`{"ids": […]}`, or the list alone; in order. A result without a prediction says why.',
        "{}.PredictionsById",
        errors=_READING,
        body="{}.Ids",
        query=_VERSION | _AT,
    ),
    "/get-online-features": Operation(
        "Features, in Feast's protocol",
        "A column of values for each feature.",
        "OnlineFeatures",
        errors=("400", "413", "415", "422", "503"),
        body="{}.OnlineFeaturesQuery",
        query=_AT,
        protocol="Feast",
    ),
}

OPERATIONS: dict[str, Operation] = {
    "/health": Operation("Health", "The process answers.", "Health"),
    "/livez": Operation("Liveness", "The process answers.", "Health"),
    "/readyz": Operation(
        "Readiness",
        "200 once every project's version has reproduced its reference examples.",
        "Health",
        errors=("503",),
    ),
    "/ping": Operation(
        "SageMaker's health check",
        "200 and an empty body once every project is ready.",
        "",
        errors=("503",),
    ),
    "/metrics": Operation(
        "Prometheus metrics", "One aggregate over all workers.", "Text", "text/plain"
    ),
    "/version": Operation("Version", "The version of this software.", "Text", "text/plain"),
    "/status": Operation(
        "Status", "Live version, counts, latency quantiles and class mix.", "Status"
    ),
    "/predict": Operation(
        "Predict one row",
        "The row is validated, predicted, and appended to the ledger before the answer is sent.",
        "{}.Prediction",
        errors=_READING,
        body="{}.Row",
        query=_VERSION,
    ),
    "/predict_batch": Operation(
        "Predict many rows",
        "A JSON array of rows, or a table as CSV, Arrow stream or Parquet. `Accept` chooses the answer's form.",
        "{}.Predictions",
        errors=("400", "404", "406", "409", "413", "415", "422", "503"),
        body=_rows_body,
        tables=TABLES,
        query=_VERSION,
    ),
    **_FEATURES,
    "/invocations": Operation(
        "Predict, in MLflow's and SageMaker's protocol",
        "MLflow's formats in JSON, or CSV.",
        "InstancePredictions",
        errors=_READING,
        body=_scoring_body,
        query=_VERSION,
    ),
    "/v1/models": Operation("Models", "Names of the models here.", protocol="V1"),
    "/v1/models/{model}": Operation(
        "Model readiness", "V1 protocol.", errors=("404",), protocol="V1"
    ),
    "/v1/models/{model}:predict": Operation(
        "Predict, V1",
        "KServe's V1 and Vertex AI's form.",
        "InstancePredictions",
        errors=_READING,
        body=lambda projects: json_content(instances(projects)),
        query=_VERSION,
        protocol="V1",
    ),
    "/v2": _v2("Server metadata", errors=()),
    "/v2/repository/index": _v2("Models and their versions", "V2Index", errors=("413",)),
    "/v2/models/stats": _v2("Statistics", errors=("404",)),
    "/v2/health/live": _v2("Server liveness", errors=()),
    "/v2/health/ready": _v2("Server readiness"),
    **{
        f"/v2/models/{{model}}{end}": _with_version(operation)
        if end in _V2_VERSIONED
        else operation
        for end, operation in _V2_MODEL.items()
    },
    **{
        f"/v2/models/{{model}}/versions/{{version}}{end}": operation
        for end, operation in _V2_MODEL.items()
    },
}


def openapi_section(projects: Sequence[ServedProject]) -> OpenApiSection:
    """Returns the operations and schemas of the inference routes."""

    def schemas() -> Json:
        components = component_schemas(MODELS)
        for project in projects:
            own = project_schemas(project)
            components |= {f"{project.name}.{name}": schema for name, schema in own.items()}
        return components

    return OpenApiSection(OPERATIONS, schemas)


def project_summary(projects: Sequence[ServedProject]) -> str:
    """Returns a line for each project: its version, what it predicts, and its feature view."""
    return "\n".join(map(_summary, projects))


def _summary(project: ServedProject) -> str:
    view = None if project.online is None else project.online.view
    features = (
        ""
        if view is None
        else f"; features of `{', '.join(view.entity_columns)}` by the view `{view.name}`"
    )
    if project.bundle is None:
        return f"- **{project.name}**: no version is live{features}"
    version, target = project.bundle.version, project.bundle.schema.target.name
    return f"- **{project.name}** {version}: predicts `{target}`{features}"
