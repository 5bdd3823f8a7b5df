"""The page about the Python API: its blocks are run, one after the other, as the cells of a notebook."""

from pathlib import Path

from tests.support.doc_pages import in_ci, run_page
from tests.support.paths import ROOT
from tests.support.server import environment


@in_ci
def test_every_block_of_the_page_runs(tmp_path: Path) -> None:
    variables = environment(tmp_path / "home")
    del variables["WINDLASS_HOME"]  # it is found as a reader's is
    run_page(ROOT / "docs" / "python.md", tmp_path, variables)
