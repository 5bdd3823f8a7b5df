"""The snippets of the docs, run as they stand there, one after the other."""

import os
import re
from pathlib import Path

import pytest
from tests.support.child_process import run_python
from tests.support.credit_view import CREDIT_RECORD, CREDIT_VIEW, make_credit_loans
from tests.support.doc_pages import in_ci, run_page
from tests.support.paths import ROOT
from tests.support.server import environment
from tests.support.snapshots import build_snapshot

from windlass.features.offline.snapshot import LATEST
from windlass.features.offline.store import OfflineStore
from windlass.features.online.materialise import materialise
from windlass.features.online.store import online_store
from windlass.settings import Settings

CREDIT = "credit_risk"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's features, built and online."""
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    snapshot = build_snapshot(
        OfflineStore.from_settings(settings, CREDIT),
        make_credit_loans(20, seed=2),
        view=CREDIT_VIEW,
    )
    store = online_store(settings, CREDIT_RECORD, CREDIT)
    materialise(store, CREDIT_RECORD, snapshot.verified_parts(LATEST), snapshot, lambda *_: None)
    store.close()
    return settings.home


@pytest.mark.parametrize(
    ("page", "headings", "assertion"),
    [
        (
            "features.md",
            ["Training set", "Labels of your own: point in time"],
            "assert joined.num_rows == rows.height > 0",
        ),
        ("online.md", ["Reading"], "assert reader.get(5008804).values['nb_previous_loans'] > 0"),
    ],
)
def test_a_snippet_runs_as_it_is_written(
    home: Path, page: str, headings: list[str], assertion: str
) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    lines = [code for heading in headings for code in _snippets(text, heading)]
    assert len(lines) == len(headings)
    run_python("\n".join([*lines, assertion]), env=environment(home), warm=True)


def _snippets(text: str, heading: str) -> list[str]:
    """The Python of one heading of a page."""
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


@in_ci
def test_a_purchase_history_becomes_an_answer_by_id(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
    heading = "From a purchase history to an answer by id"
    page = tmp_path / "page.md"
    page.write_text(text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0], encoding="utf-8")
    folder = tmp_path / "empty"
    folder.mkdir()
    run_page(page, folder, os.environ)
