"""Every route of the inference process, in one table."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from windlass.auth.key import Role
from windlass.serving.feature_routes import FeatureRoutes
from windlass.serving.predict import Predictor
from windlass.serving.predict_by_id import PredictById
from windlass.serving.protocols.feast import FeastFeatureServer
from windlass.serving.protocols.kserve_v1 import KServeV1
from windlass.serving.protocols.mlflow_sagemaker import ScoringServer
from windlass.serving.protocols.open_inference import OpenInferenceV2
from windlass.serving.served_project import ServedProject
from windlass.serving.status import StatusRoutes
from windlass.serving.targets import ServiceRole
from windlass.settings import Settings
from windlass.web.messages import Handler, Request, Response
from windlass.web.routing import Route

_CALLER = Role.PREDICT
_Line = tuple[
    str, str, Handler, Callable[[], bool] | None
]  # method, path, who answers, whether it is there


def routes_of(
    hosted: Sequence[ServedProject],
    observer: StatusRoutes,
    settings: Settings,
    only: ServiceRole | None = None,
) -> list[Route]:
    """The server's own routes, each project's under its name, and at the root too where there is one.

    With `only`, those of one of the two services, and what both tell of themselves.
    """
    predictors = {one.name: Predictor(one) for one in hosted}
    routes = [
        Route("GET", "/health", observer.alive),
        Route("GET", "/livez", observer.alive),
        Route("GET", "/readyz", observer.ready),
        Route("GET", "/metrics", observer.metrics, role=_CALLER),
    ]
    if only is not ServiceRole.FEATURES:
        routes += [
            *OpenInferenceV2(hosted, predictors, observer).routes(),
            *KServeV1(hosted, predictors).routes(),
        ]
    for one in hosted:
        for prefix in (f"/{one.name}", "") if len(hosted) == 1 else (f"/{one.name}",):
            routes += _project(one, predictors[one.name], observer, prefix, only)
    if len(hosted) > 1:
        routes.append(Route("GET", "/status", observer.status, role=_CALLER))
    elif only is not ServiceRole.FEATURES:
        routes += _only(hosted[0], predictors[hosted[0].name], observer, settings)
    return [_labelled(route) for route in routes]


def _project(
    hosted: ServedProject,
    predictor: Predictor,
    observer: StatusRoutes,
    prefix: str,
    only: ServiceRole | None,
) -> list[Route]:
    status = _ignoring(partial(observer.project_status, hosted))
    table: list[_Line] = [("GET", "/status", status, None)]
    if only is not ServiceRole.FEATURES:
        table += _predictions(hosted, predictor)
    if only is not ServiceRole.PREDICT:
        table += _features(hosted)
    return [
        Route(method, f"{prefix}{path}", handler, hosted.name, path, _CALLER, there)
        for method, path, handler, there in table
    ]


def _predictions(hosted: ServedProject, predictor: Predictor) -> Iterator[_Line]:
    yield "POST", "/predict", predictor.one, None
    yield "POST", "/predict_batch", predictor.many, None
    if hosted.online is not None:
        by_id, there = PredictById(predictor, hosted.online), hosted.online.is_there
        yield "POST", "/predict/{id}", by_id.one, there
        yield "POST", "/predict_by_id", by_id.many, there


def _features(hosted: ServedProject) -> Iterator[_Line]:
    if hosted.online is not None:
        features, there = FeatureRoutes(hosted.online), hosted.online.is_there
        yield "GET", "/features/{id}", features.one, there
        yield "POST", "/features", features.many, there
        yield "POST", "/get-online-features", FeastFeatureServer(hosted.online).get, there


def _only(
    hosted: ServedProject, predictor: Predictor, observer: StatusRoutes, settings: Settings
) -> list[Route]:
    """What answers predictions at the root where exactly one project is served: SageMaker's, MLflow's, Vertex's."""
    scoring = ScoringServer(predictor)
    routes = [
        Route("GET", "/ping", observer.ping),
        Route("GET", "/version", scoring.version),
        Route("POST", "/invocations", scoring.invoke, hosted.name, role=_CALLER),
    ]
    vertex = settings.vertex
    if vertex is not None:
        instances = KServeV1([hosted], {hosted.name: predictor}).only
        routes += [  # last, for a route that Vertex names wins over ours of the same path
            Route("GET", vertex.health_route, observer.ready, label="/readyz"),
            Route(
                "POST",
                vertex.predict_route,
                instances,
                hosted.name,
                "/v1/models/{model}:predict",
                _CALLER,
            ),
        ]
    return routes


def _labelled(route: Route) -> Route:
    return route if route.label else replace(route, label=route.path)


def _ignoring(
    answer: Callable[[], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    async def handler(_: Request) -> Response:
        return await answer()

    return handler
