"""Both databases, for tests that hold of each."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.azurite import azure_endpoint, azure_url
from tests.support.budget import IS_CI
from tests.support.databases import OpenDatabase

from windlass.settings import Settings
from windlass.storage.blob_store import BlobStore, open_blob_store
from windlass.storage.database import Database

__all__ = ["azure_endpoint", "azure_url"]  # fixtures of the emulator


@pytest.fixture
def open_database(migrated_database_url: str) -> Iterator[OpenDatabase]:
    """Opens the database, as often as it is called."""
    opened: list[Database] = []

    def open_one() -> Database:
        opened.append(Database.open_url(migrated_database_url))
        return opened[-1]

    yield open_one
    for database in opened:
        database.close()


@pytest.fixture(params=["files", "s3", "azure"] if IS_CI else ["files", "s3"])
def store_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings that name an empty bundle store."""
    if request.param != "files":
        url = request.getfixturevalue(f"{request.param}_url")
        return replace(Settings.read(), home=tmp_path / "home", store_url=url)
    return Settings(home=tmp_path / "home")


@pytest.fixture
def blobs(store_settings: Settings) -> BlobStore:
    """The store itself."""
    return open_blob_store(store_settings)
