"""Features by another view version than the model was trained on; and starts that do not wait for the store."""

import asyncio
import gc
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from operator import methodcaller
from pathlib import Path

import httpx
import pytest
from tests.support.altered_bundles import change_json, copy_bundle
from tests.support.loan_view import PROJECT_VIEW, VIEW
from tests.support.online_clients import (
    PLAIN,
    PROJECT,
    UNKNOWN,
    approve_bundle,
    declare_view,
    expected_features,
    fill_store,
)
from tests.support.problems import problem
from tests.support.registry_home import RegistryHome
from tests.support.trained_bundles import BundleOf

from windlass import app
from windlass.serving.targets import ServeTarget, ServiceRole
from windlass.settings import Settings

Work = Callable[[httpx.AsyncClient], Awaitable[None]]


@pytest.fixture
def registry_home(tmp_path: Path, bundle_of: BundleOf) -> RegistryHome:
    """Three versions of clients: one of which no view is known, one of the view declared, one of another."""
    home = RegistryHome(tmp_path / "home")
    bundle = bundle_of("clients")
    approve_bundle(home, bundle)
    for view in (PROJECT_VIEW.version, "another"):
        trained = copy_bundle(bundle, tmp_path / view)
        approve_bundle(home, change_json(trained, "params.json", methodcaller("update", view=view)))
    home.close()
    return home


def serve(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, work: Work, only: ServiceRole | None = None
) -> None:
    """Do it once the server has started as one of several workers, which loads before it takes a request."""
    monkeypatch.setattr(app, "parent_process", object)
    monkeypatch.setattr(gc, "collect", int)  # what other tests left is not this one's
    monkeypatch.setattr(gc, "freeze", int)

    async def main() -> None:
        service = app.application(ServeTarget(str(PROJECT)), settings=settings, only=only)
        await service._resources.start()
        try:
            transport = httpx.ASGITransport(service)  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport, base_url="http://clients") as ask:
                await work(ask)
        finally:
            await service._resources.stop()

    asyncio.run(main())


def test_features_of_another_view_are_no_row(
    registry_home: RegistryHome, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fill_store(registry_home.settings)

    async def work(ask: httpx.AsyncClient) -> None:
        for _ in range(2):
            refused = problem(await ask.post(f"/predict/{PLAIN}"), 409)
            assert refused["detail"] == (
                f"The features are of view {PROJECT_VIEW.version}, and version v3 was trained on view another."
                " Train again, or materialise a snapshot of view another."
            )
        body = (await ask.post("/predict_by_id", json=[PLAIN, UNKNOWN])).json()
        unfit, unknown = body["results"]
        assert (unfit["id"], unfit["prediction"], unfit["error"]) == (PLAIN, None, "unfit")
        assert unfit["errors"] == [{"loc": [], "msg": refused["detail"]}]
        assert unknown["error"] == "unknown"
        assert (await ask.get(f"/features/{PLAIN}")).status_code == 200
        for version in ("v1", "v2"):
            answer = await ask.post(f"/predict/{PLAIN}?version={version}")
            assert answer.json()["model_version"] == version
        status = (await ask.get("/status")).json()["features"]
        assert status["trained_view_version"] == "another"
        assert status["materialised"]["view_version"] == PROJECT_VIEW.version

    serve(registry_home.settings, monkeypatch, work)
    assert [record.message for record in caplog.records].count("features of another view") == 1


LATEST = replace(VIEW, serves="latest").record(PROJECT_VIEW.features)


@pytest.mark.parametrize("before_event", [True, False], ids=["this version", "an earlier one"])
def test_rows_of_an_old_version_are_not_taken_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before_event: bool
) -> None:
    """A store that an earlier version of Windlass filled for the view that now serves the latest event."""
    home = RegistryHome(tmp_path / "home")
    declare_view(home, LATEST)
    home.close()
    view = PROJECT_VIEW.model_copy(update={"version": LATEST.version})
    fill_store(home.settings, view, before_event=before_event)

    async def work(ask: httpx.AsyncClient) -> None:
        answer, ready = await ask.get(f"/features/{PLAIN}"), await ask.get("/readyz")
        upcoming = (await ask.get(f"/features/{PLAIN}?at=next")).json()
        assert upcoming["features"] == expected_features(PLAIN)
        if before_event:
            assert (ready.status_code, answer.status_code) == (200, 200)
            assert answer.json()["features"] == expected_features(PLAIN, at="latest")
            return
        for refused in (ready, answer, await ask.post("/features", json=[PLAIN])):
            assert refused.status_code == 503
            assert "by an earlier version of Windlass" in refused.text
            assert "then materialise them" in refused.text

    serve(home.settings, monkeypatch, work, ServiceRole.FEATURES)


@pytest.mark.parametrize("only", [None, ServiceRole.FEATURES])
def test_a_store_that_says_nothing_holds_up_no_start(
    registry_home: RegistryHome, monkeypatch: pytest.MonkeyPatch, only: ServiceRole | None
) -> None:
    async def work(ask: httpx.AsyncClient) -> None:
        assert (await ask.get("/health")).status_code == 200
        status = (await ask.get("/status")).json()
        assert status["ready"] is (only is None)
        assert status["features"]["reason"] == "The feature store is being opened."

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        settings = replace(registry_home.settings, online_url=url)
        serve(settings, monkeypatch, work, only)
