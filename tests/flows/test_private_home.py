"""A home is private to its owner, whatever made it: nobody else reads predictions, events or decisions."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.server import FLOWER, Serve, Server

from windlass.errors import BundleError
from windlass.monitoring.ledger import Ledger
from windlass.monitoring.shared_counters import SharedCounters
from windlass.registry.bundle_cache import BundleCache
from windlass.settings import Settings
from windlass.storage.database import Database
from windlass.storage.local_store import LocalBlobStore

pytestmark = pytest.mark.usefixtures("real_migrations")  # a template's copy has its own mode


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """Has files be open to everybody unless they say otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


MAKERS: dict[str, Callable[[Path], object]] = {
    "database": lambda home: Database.open(Settings(home=home)).close(),
    "ledger": lambda home: Ledger(home / "ledger" / "iris").append(b"{}\n"),
    "counters": lambda home: SharedCounters.in_home(home, "rates").close(),
    "bundles": lambda home: LocalBlobStore(home).upload(home.parent, [], "incoming/a"),
    "cache": lambda home: open_missing(BundleCache(home / "cache")),
}


def open_missing(cache: BundleCache) -> None:
    with suppress(BundleError):
        cache.open("a" * 64, lambda _: None)


@pytest.mark.parametrize("maker", MAKERS)
def test_whatever_makes_the_home_makes_it_private(maker: str, tmp_path: Path) -> None:
    home = tmp_path / "above" / "home"
    MAKERS[maker](home)
    assert home.is_dir()
    assert (mode(home), mode(home.parent)) == (0o700, 0o700)


def test_databases_and_ledger_are_private(serve: Serve, iris: Path, tmp_path: Path) -> None:
    home = tmp_path / "private" / "home"
    Database.open(Settings(home=home)).close()
    server: Server = serve(iris, home=home)
    assert server.client.post("/predict", json=FLOWER).status_code == 200
    segments = list((home / "ledger" / "iris").iterdir())
    assert [mode(segment) for segment in segments] == [0o600]
    assert {mode(file) for file in home.glob("windlass.db*")} == {0o600}
    assert {mode(folder) for folder in (home, home / "ledger", home / "ledger/iris")} == {0o700}
    server.stop()


def test_a_home_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o750)
    Database.open(Settings(home=home)).close()
    assert (mode(home), mode(home / "windlass.db")) == (0o750, 0o600)
