"""Where the database is, and whether it is there, by the settings alone."""

from pathlib import Path

from windlass.settings import Settings
from windlass.storage.urls import has_database, pin_database

POSTGRES = "postgresql+psycopg://127.0.0.1/windlass"


def test_an_empty_home_has_no_database_and_is_not_pinned(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert not has_database(settings)
    assert pin_database(settings) is settings


def test_bundles_are_of_a_database_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "models" / "iris").mkdir(parents=True)
    lost = Settings(home=tmp_path)
    assert has_database(lost)
    assert pin_database(lost) == lost


def test_once_pinned_it_is_named_whether_it_is_there_or_not(tmp_path: Path) -> None:
    file = tmp_path / "windlass.db"
    file.touch()
    named = pin_database(Settings(home=tmp_path))
    file.unlink()
    assert has_database(named)
    assert named.database_url == f"sqlite:///{file}"
    assert pin_database(named) == named


def test_a_url_is_a_database(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url=POSTGRES)
    assert has_database(settings)
    assert pin_database(settings) == settings
