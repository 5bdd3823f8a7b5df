"""The page on forecasting does what it says, from made-up sales to the forecast of a shop."""

from pathlib import Path

from tests.support.doc_pages import in_ci, run_page
from tests.support.paths import ROOT
from tests.support.server import environment


@in_ci
def test_the_page_on_forecasting_works(tmp_path: Path) -> None:
    run_page(ROOT / "docs" / "forecasting.md", tmp_path, environment(tmp_path / "home"))
