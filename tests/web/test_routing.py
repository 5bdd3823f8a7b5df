"""Which handler answers, and the error where there is none."""

import pytest

from windlass.auth.key import Role
from windlass.web.messages import Request, Response
from windlass.web.problems import Problem
from windlass.web.routing import Route, Router


async def nothing(_: Request) -> Response:
    return Response(b"")


def refusal(*projects: str) -> Problem:
    """What a router of these projects says of a path that it does not know."""
    routes = [Route("POST", f"/{name}/predict", nothing, name) for name in projects]
    router = Router([Route("GET", "/health", nothing), *routes])
    with pytest.raises(Problem) as caught:
        router.find("POST", "/nowhere")
    return caught.value


def test_a_path_that_is_none() -> None:
    detail = "There is nothing here. See /docs for the routes of this server."
    for projects in ((), ("iris",)):
        assert (refusal(*projects).status, refusal(*projects).detail) == (404, detail)


def test_a_hint_where_several_projects_are_served() -> None:
    detail = refusal("iris", "loan").detail
    assert "See /docs" in detail
    assert "/{project}/predict" in detail


def test_a_method_that_a_path_does_not_take() -> None:
    with pytest.raises(Problem) as caught:
        Router([Route("GET", "/health", nothing)]).find("POST", "/health/")
    assert caught.value.status == 405
    assert (b"allow", b"GET, HEAD") in caught.value.headers


def test_a_route_that_is_not_there_yet() -> None:
    there = False
    route = Route("POST", "/features", nothing, there=lambda: there)
    more = Route("GET", "/features/{id}", nothing, there=lambda: there)
    router = Router([route, more, Route("GET", "/health", nothing)])
    for method, path in (("POST", "/features"), ("PUT", "/features"), ("GET", "/features/7")):
        with pytest.raises(Problem) as caught:
            router.find(method, path)
        assert caught.value.status == 404
    there = True
    assert router.find("POST", "/features/") == (route, {})
    assert router.find("GET", "/features/7") == (more, {"id": "7"})
    with pytest.raises(Problem) as caught:
        router.find("PUT", "/features")
    assert caught.value.status == 405


def test_query_parameters_that_a_route_does_not_read() -> None:
    route = Route("POST", "/predict", nothing, role=Role.PREDICT, query=("version",))
    for query, loc in (
        (b"vresion=v1", []),
        (b"Version=v1", []),
        (b"version=v1&at=next", []),
        (b"version=v1&version=v2", ["version"]),
        (b"%76ersion=v1&version=v1", ["version"]),
    ):
        with pytest.raises(Problem) as caught:
            route.check_query(query)
        assert caught.value.status == 422
        assert [fault["loc"] for fault in caught.value.errors] == [loc]
    for query in (b"", b"version=v1", b"version=", b"&version=v1&"):
        route.check_query(query)
    Route("GET", "/health", nothing).check_query(b"probe=1&probe=2")
