"""Every store, for tests that hold of each."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.loan_view import PROJECT_VIEW
from tests.support.services import redis_url

from windlass.core.feature_view import ViewRecord
from windlass.features.online.store import OnlineStore, online_store
from windlass.settings import Settings

__all__ = ["redis_url"]  # a fixture

OpenStore = Callable[..., OnlineStore]


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings that name an empty online store."""
    if request.param == "sqlite":
        return Settings(home=tmp_path)
    return Settings(home=tmp_path, online_url=request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def open_store(settings: Settings) -> Iterator[OpenStore]:
    """Opens the store, as often as it is asked: `open_store(project)`."""
    opened: list[OnlineStore] = []

    def open_it(project: str = "credit", record: ViewRecord = PROJECT_VIEW) -> OnlineStore:
        opened.append(online_store(settings, record, project))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: OpenStore) -> OnlineStore:
    """The store itself."""
    return open_store()
