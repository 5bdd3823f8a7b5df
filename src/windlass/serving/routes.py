"""The table of all routes of the inference server."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from windlass.auth.key import Role
from windlass.serving.feature_routes import FeatureRoutes
from windlass.serving.predict import Predictor
from windlass.serving.predict_by_id import PredictById
from windlass.serving.predict_together import BodyRows, PredictTogether, StoredRows
from windlass.serving.protocols.feast import FeastFeatureServer
from windlass.serving.protocols.kserve_v1 import KServeV1
from windlass.serving.protocols.mlflow_sagemaker import ScoringServer
from windlass.serving.protocols.open_inference import OpenInferenceV2
from windlass.serving.served_project import ServedProject
from windlass.serving.status import StatusRoutes
from windlass.serving.targets import ServiceRole
from windlass.settings import Settings
from windlass.web.messages import Handler
from windlass.web.routing import BatchHandler, Route

_ROLE = Role.PREDICT
# method, path, handler, whether the route exists now, and what answers its requests in batches
_RouteRow = tuple[str, str, Handler, Callable[[], bool] | None, BatchHandler | None]
# the query parameters of the routes that read some
_QUERY = {
    "/predict": ("version",),
    "/predict_batch": ("version",),
    "/predict/{id}": ("version", "at"),
    "/predict_by_id": ("version", "at"),
    "/features/{id}": ("at",),
    "/features": ("at",),
    "/get-online-features": ("at",),
}


def inference_routes(
    projects: Sequence[ServedProject],
    status_routes: StatusRoutes,
    settings: Settings,
    only: ServiceRole | None = None,
) -> list[Route]:
    """Returns the server's own routes and each project's under its name; at the root too where there is one project.

    With `only`, the routes of that service, and those about the server itself.
    """
    predictors = {project.name: Predictor(project) for project in projects}
    routes = [
        Route("GET", "/health", status_routes.alive),
        Route("GET", "/livez", status_routes.alive),
        Route("GET", "/readyz", status_routes.ready),
        Route("GET", "/metrics", status_routes.metrics, role=_ROLE),
    ]
    if only is not ServiceRole.FEATURES:
        routes += [
            *OpenInferenceV2(projects, predictors, status_routes).routes(),
            *KServeV1(projects, predictors).routes(),
        ]
    for project in projects:
        for prefix in (f"/{project.name}", "") if len(projects) == 1 else (f"/{project.name}",):
            routes += _project_routes(
                project, predictors[project.name], status_routes, prefix, only
            )
    if len(projects) > 1:
        routes.append(Route("GET", "/status", status_routes.status, role=_ROLE))
    elif only is not ServiceRole.FEATURES:
        routes += _single_project_routes(
            projects[0], predictors[projects[0].name], status_routes, settings
        )
    return [_with_label(route) for route in routes]


def _project_routes(
    project: ServedProject,
    predictor: Predictor,
    status_routes: StatusRoutes,
    prefix: str,
    only: ServiceRole | None,
) -> list[Route]:
    status = partial(status_routes.project_status, project)
    table: list[_RouteRow] = [("GET", "/status", status, None, None)]
    if only is not ServiceRole.FEATURES:
        table += _prediction_routes(project, predictor)
    if only is not ServiceRole.PREDICT:
        table += _feature_routes(project)
    return [
        Route(
            method,
            f"{prefix}{path}",
            handler,
            project.name,
            path,
            _ROLE,
            exists,
            batch,
            query=_QUERY.get(path, ()),
        )
        for method, path, handler, exists, batch in table
    ]


def _prediction_routes(project: ServedProject, predictor: Predictor) -> Iterator[_RouteRow]:
    rows = PredictTogether(project, BodyRows())
    yield "POST", "/predict", predictor.predict, None, rows
    yield "POST", "/predict_batch", predictor.predict_batch, None, None
    if project.online is not None:
        by_id, exists = PredictById(predictor, project.online), project.online.has_view
        stored = PredictTogether(project, StoredRows(by_id, project.online))
        yield "POST", "/predict/{id}", by_id.predict, exists, stored
        yield "POST", "/predict_by_id", by_id.predict_many, exists, None


def _feature_routes(project: ServedProject) -> Iterator[_RouteRow]:
    if project.online is not None:
        features, exists = FeatureRoutes(project.online), project.online.has_view
        yield "GET", "/features/{id}", features.get, exists, None
        yield "POST", "/features", features.get_many, exists, None
        yield "POST", "/get-online-features", FeastFeatureServer(project.online).get, exists, None


def _single_project_routes(
    project: ServedProject, predictor: Predictor, status_routes: StatusRoutes, settings: Settings
) -> list[Route]:
    """Returns the prediction routes at the root of a server of one project: SageMaker's, MLflow's and Vertex AI's."""
    scoring = ScoringServer(predictor)
    routes = [
        Route("GET", "/ping", status_routes.ping),
        Route("GET", "/version", scoring.version),
        Route("POST", "/invocations", scoring.invoke, project.name, role=_ROLE, query=("version",)),
    ]
    vertex = settings.vertex
    if vertex is not None:
        instances = KServeV1([project], {project.name: predictor}).predict_only_model
        path, label = vertex.predict_route, "/v1/models/{model}:predict"
        routes += [  # last: a route that Vertex AI names replaces ours of the same path
            Route("GET", vertex.health_route, status_routes.ready, label="/readyz"),
            Route("POST", path, instances, project.name, label, _ROLE, query=("version",)),
        ]
    return routes


def _with_label(route: Route) -> Route:
    return route if route.label else replace(route, label=route.path)
