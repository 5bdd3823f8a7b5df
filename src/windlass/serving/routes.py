"""Every route of the inference process, in one table."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from windlass.serving.docs import Docs
from windlass.serving.exchange import Answer, Exchange
from windlass.serving.model import Hosted
from windlass.serving.observe import Observer
from windlass.serving.predict import Predictor
from windlass.serving.protocols.scoring import Scoring
from windlass.serving.protocols.v1 import V1
from windlass.serving.protocols.v2 import V2
from windlass.serving.routing import Route
from windlass.settings import Settings


def routes_of(hosted: Sequence[Hosted], observer: Observer, settings: Settings) -> list[Route]:
    """The server's own routes, each project's under its name, and at the root too where there is one."""
    predictors = {one.name: Predictor(one) for one in hosted}
    routes = [
        Route("GET", "/health", observer.alive),
        Route("GET", "/livez", observer.alive),
        Route("GET", "/readyz", observer.ready),
        Route("GET", "/metrics", observer.metrics),
        *V2(hosted, predictors, observer).routes(),
        *V1(hosted, predictors).routes(),
    ]
    for one in hosted:
        routes += _project(one, predictors[one.name], observer, f"/{one.name}")
    if len(hosted) == 1:
        routes += _only(hosted[0], predictors[hosted[0].name], observer, settings)
    else:
        routes.append(Route("GET", "/status", observer.status))
    routes += Docs(hosted, routes).routes()
    return [_labelled(route) for route in routes]


def _project(hosted: Hosted, predictor: Predictor, observer: Observer, prefix: str) -> list[Route]:
    status = _ignoring(partial(observer.project_status, hosted))
    return [
        Route("POST", f"{prefix}/predict", predictor.one, hosted.name, "/predict"),
        Route("POST", f"{prefix}/predict_batch", predictor.many, hosted.name, "/predict_batch"),
        Route("GET", f"{prefix}/status", status, hosted.name, "/status"),
    ]


def _only(
    hosted: Hosted, predictor: Predictor, observer: Observer, settings: Settings
) -> list[Route]:
    """What answers at the root where exactly one project is served: ours, SageMaker's, MLflow's, Vertex's."""
    scoring = Scoring(hosted, predictor)
    routes = [
        *_project(hosted, predictor, observer, ""),
        Route("GET", "/ping", observer.ping),
        Route("GET", "/version", scoring.version),
        Route("POST", "/invocations", scoring.invoke, hosted.name),
    ]
    vertex = settings.vertex
    if vertex is not None:
        instances = V1([hosted], {hosted.name: predictor}).only
        routes += [  # last, for a route that Vertex names wins over ours of the same path
            Route("GET", vertex.health_route, observer.ready, label="/readyz"),
            Route(
                "POST", vertex.predict_route, instances, hosted.name, "/v1/models/{model}:predict"
            ),
        ]
    return routes


def _labelled(route: Route) -> Route:
    return Route(route.method, route.path, route.handler, route.project, route.label or route.path)


def _ignoring(answer: Callable[[], Awaitable[Answer]]) -> Callable[[Exchange], Awaitable[Answer]]:
    async def handler(_: Exchange) -> Answer:
        return await answer()

    return handler
