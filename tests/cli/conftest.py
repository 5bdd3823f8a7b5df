"""What tests of commands share: a queue over SQLite, a project with a feature view, three versions of Iris."""

from pathlib import Path

import pytest
from tests.support.cli_registry import register_three_versions
from tests.support.job_workers import sqlite_bench
from tests.support.lending_project import lending
from tests.support.trained_bundles import BundleOf

__all__ = ["lending", "sqlite_bench"]  # fixtures


@pytest.fixture
def home_with_versions(
    tmp_path: Path, bundle_of: BundleOf, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A home folder with three versions of Iris, which commands find by WINDLASS_HOME."""
    home = tmp_path / "home"
    monkeypatch.setenv("WINDLASS_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "200")
    register_three_versions(home, bundle_of)
    return home
