"""What each route is for, what it reads, answers and refuses: the words of the OpenAPI document."""

from collections.abc import Sequence

from windlass.core.bundle import Bundle
from windlass.core.json_schema import json_schema
from windlass.serving.openapi.feature_schemas import ID, SHARED, feature_schemas
from windlass.serving.openapi.schemas import (
    ANSWERS,
    UNKNOWN,
    V2_REQUEST,
    batch_answer,
    instances,
    invocations,
    one_answer,
    values,
)
from windlass.serving.served_project import ServedProject
from windlass.serving.tabular import FORMS
from windlass.web.openapi import BINARY, Json, OpenApiSection, Operation

TABLES = tuple(FORMS)
_VERSION = {"version": "Another version than the live one: one that is or was in production."}
_READING = (
    "400",
    "404",
    "409",
    "413",
    "415",
    "422",
    "503",
)  # what every route that reads rows may refuse


def row_body(projects: Sequence[str]) -> Json:
    """One row, as JSON."""
    return {"application/json": {"schema": _row(projects)}}


def rows_body(projects: Sequence[str]) -> Json:
    """Many rows, as JSON or as a table."""
    rows = {"type": "array", "items": _row(projects), "minItems": 1}
    return {"application/json": {"schema": rows}, **dict.fromkeys(TABLES, BINARY)}


def _row(projects: Sequence[str]) -> Json:
    return {"$ref": f"#/components/schemas/{projects[0]}.Row"}


def _scoring_body(projects: Sequence[str]) -> Json:
    table = {"text/csv": {"schema": {"type": "string"}}}
    return {"application/json": {"schema": invocations(projects[0])}, **table}


def _instances_body(projects: Sequence[str]) -> Json:
    return {"application/json": {"schema": instances(projects)}}


def _ids_body(_: Sequence[str]) -> Json:
    return {"application/json": {"schema": {"$ref": "#/components/schemas/Ids"}}}


def _online_features_body(projects: Sequence[str]) -> Json:
    schema = {"$ref": f"#/components/schemas/{projects[0]}.OnlineFeaturesQuery"}
    return {"application/json": {"schema": schema}}


def _infer_body(_: Sequence[str]) -> Json:
    return {"application/json": {"schema": V2_REQUEST}}


def _v2(summary: str, answer: str = "Any", errors: Sequence[str] = ("503",)) -> Operation:
    return Operation(summary, "Open Inference Protocol V2.", answer, errors=errors, protocol="V2")


_V2_MODEL = {
    "": _v2("Model metadata", errors=("404", "503")),
    "/ready": _v2("Model readiness", errors=("404", "503")),
    "/infer": Operation(
        "Infer",
        "Open Inference Protocol V2: a tensor a column, or a matrix of all numeric columns.",
        "V2Response",
        errors=("400", "404", "413", "503"),
        body=_infer_body,
        protocol="V2",
    ),
}

_FEATURES = {
    "/features/{id}": Operation(
        "Features of an entity",
        "The newest that is known of it, and what follows from that today.",
        "{}.Features",
        errors=("404", "422", "503"),
        path={"id": ID},
    ),
    "/features": Operation(
        "Features of many entities",
        '`{"ids": […]}`, or the list alone; in order. One that is unknown is named, and fails no other.',
        "{}.ManyFeatures",
        errors=("400", "413", "415", "422", "503"),
        body=_ids_body,
    ),
    "/predict/{id}": Operation(
        "Predict by id",
        "As `/predict`, with the features of the entity as its row. 409 where they do not fit it.",
        "{}.PredictionById",
        errors=("404", "409", "422", "503"),
        query=_VERSION,
        path={"id": ID},
    ),
    "/predict_by_id": Operation(
        "Predict many by id",
        '`{"ids": […]}`, or the list alone; in order. One that cannot be predicted is named, and fails no other.',
        "{}.PredictionsById",
        errors=_READING,
        body=_ids_body,
        query=_VERSION,
    ),
    "/get-online-features": Operation(
        "Features, as Feast asks",
        "A column of values a feature.",
        "OnlineFeatures",
        errors=("400", "413", "415", "422", "503"),
        body=_online_features_body,
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
        "Validated, predicted, and appended to the ledger before the answer leaves.",
        "{}.Prediction",
        errors=_READING,
        body=row_body,
        query=_VERSION,
    ),
    "/predict_batch": Operation(
        "Predict many rows",
        "A JSON array of rows, or a table as CSV, Arrow stream or Parquet. `Accept` chooses the answer's form.",
        "{}.Predictions",
        errors=("400", "404", "406", "409", "413", "415", "422", "503"),
        body=rows_body,
        tables=TABLES,
        query=_VERSION,
    ),
    **_FEATURES,
    "/invocations": Operation(
        "Predict, as MLflow and SageMaker ask",
        "MLflow's shapes in JSON, or CSV.",
        "InstancePredictions",
        errors=_READING,
        body=_scoring_body,
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
        body=_instances_body,
        protocol="V1",
    ),
    "/v2": _v2("Server metadata", errors=()),
    "/v2/health/live": _v2("Server liveness", errors=()),
    "/v2/health/ready": _v2("Server readiness"),
    **{f"/v2/models/{{model}}{end}": operation for end, operation in _V2_MODEL.items()},
    **{
        f"/v2/models/{{model}}/versions/{{version}}{end}": operation
        for end, operation in _V2_MODEL.items()
    },
}


def chapter(hosted: Sequence[ServedProject]) -> OpenApiSection:
    """The chapter of these projects."""

    def schemas() -> Json:
        found: Json = ANSWERS | SHARED
        for one in hosted:
            found |= {f"{one.name}.{name}": schema for name, schema in _of(one).items()}
        return found

    return OpenApiSection(OPERATIONS, schemas)


def _of(hosted: ServedProject) -> Json:
    described = _of_bundle(hosted.bundle)
    view = None if hosted.online is None else hosted.online.view
    if view is None:
        return described
    return described | feature_schemas(view, hosted.name, described["Prediction"])


def _of_bundle(bundle: Bundle | None) -> Json:
    if bundle is None:  # nothing is live yet, and what will be may have any columns
        return UNKNOWN
    row = json_schema(bundle.schema.row)
    return {
        "Row": row,
        "Values": values(row),
        "Prediction": one_answer(bundle.schema.target),
        "Predictions": batch_answer(bundle.schema.target),
    }


def about(hosted: Sequence[ServedProject]) -> str:
    """A line a project: its version, what it predicts, and from which feature view."""
    return "\n".join(map(_about, hosted))


def _about(hosted: ServedProject) -> str:
    view = None if hosted.online is None else hosted.online.view
    features = "" if view is None else f"; features of `{view.entity}` by the view `{view.name}`"
    if hosted.bundle is None:
        return f"- **{hosted.name}**: no version is live{features}"
    version, target = hosted.bundle.version, hosted.bundle.schema.target.name
    return f"- **{hosted.name}** {version}: predicts `{target}`{features}"
