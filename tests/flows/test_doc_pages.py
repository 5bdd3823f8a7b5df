"""The tutorial and the how-to pages do what they say: every block is run, in its order."""

import os
import shutil
from pathlib import Path

import pytest
from tests.support.doc_pages import code_blocks, in_ci, run_page
from tests.support.paths import ROOT
from tests.support.server import free_port
from tests.support.services import skip_or_fail

DOCS = ROOT / "docs"
PAGES = [
    "index.md",
    "tutorial.md",
    *sorted(f"howto/{page.name}" for page in DOCS.glob("howto/*.md")),
]
INSTALL = "pip install 'windlass-ml[all]'"  # it is installed: from this checkout


@pytest.fixture
def variables() -> dict[str, str]:
    """The environment of a user who has set nothing of Windlass."""
    removed = ("WINDLASS_", "AIP_", "SAGEMAKER_")
    return {name: text for name, text in os.environ.items() if not name.startswith(removed)}


@pytest.mark.parametrize(
    "page", [page if page == "tutorial.md" else pytest.param(page, marks=in_ci) for page in PAGES]
)
def test_a_page_does_what_it_says(
    page: str, tmp_path: Path, variables: dict[str, str], request: pytest.FixtureRequest
) -> None:
    replaced = {INSTALL: "true", "windlass train": "windlass train --no-track"}
    if page == "howto/behind-nginx.md":
        if shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") is None:
            skip_or_fail("nginx is not installed")
        variables["PATH"] += ":/usr/sbin"
        replaced["8443"] = str(free_port())
    if page == "howto/postgresql-and-s3.md":
        database = request.getfixturevalue("migrated_postgres_url")
        replaced["postgresql+psycopg://windlass:secret@db.example.com/windlass"] = database
        replaced["s3://models/windlass"] = request.getfixturevalue("s3_url")
        variables.update(os.environ)  # the fixture's credentials
    run_page(DOCS / page, tmp_path, variables, replaced)


def test_a_page_that_does_not_is_an_error(tmp_path: Path, variables: dict[str, str]) -> None:
    page = tmp_path / "page.md"
    for text, message in {
        "```sh\nfalse\n```\n": "ended with 1",
        "```python\nassert 1 == 2\n```\n": "AssertionError",
        "```sh\nwindlass serve nowhere\n```\n": "ended",
    }.items():
        page.write_text(text)
        with pytest.raises(AssertionError, match=message):
            run_page(page, tmp_path, variables)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_blocks(page: str) -> None:
    assert len(code_blocks(DOCS / page)) >= 4
