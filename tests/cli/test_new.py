"""`windlass new` prints what it decided, and refuses in one line what it cannot use."""

from pathlib import Path

import pytest
from tests.support.cli import run_cli
from tests.support.source_columns import write_csv

ROWS = "".join(
    f"C{row},{row % 7}.5,{'NA' if row % 9 == 0 else row % 4},{'yes' if row % 3 else 'no'}\n"
    for row in range(90)
)
TABLE = f"id,price,calls,left\n{ROWS}"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_decisions_reasons_and_next_steps_are_printed(folder: Path) -> None:
    write_csv(folder, TABLE)
    out = run_cli("new", "churn", "--from-csv", "table.csv", "--target", "left").check()
    assert "churn: from table.csv, 90 rows, 4 columns" in out
    assert "Classes: no (33%), yes (67%). The positive class is yes." in out
    assert "roc_auc of at least" in out
    assert "id  an id: each row has its own" in out
    assert "cd churn" in out
    assert (folder / "churn" / "project.py").is_file()


def test_an_example_needs_no_table(folder: Path) -> None:
    assert "windlass train" in run_cli("new", "demo").check()
    assert (folder / "demo" / "data" / "subscriptions.csv").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["churn", "--target", "left"], 2, "Add --from-csv FILE."),
        (["churn", "--from-csv", "table.csv"], 2, "Add --target COLUMN."),
        (["churn", "--from-csv", "table.csv", "--target", "Left"], 1, "Did you mean 'left'?"),
        (["churn", "--from-csv", "absent.csv", "--target", "left"], 1, "does not exist"),
        (["Churn", "--from-csv", "table.csv", "--target", "left"], 1, "For example: churn"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    folder: Path, arguments: list[str], code: int, message: str
) -> None:
    write_csv(folder, TABLE)
    done = run_cli("new", *arguments)
    (line,) = done.error_lines
    assert (done.code, message in line) == (code, True), line
    assert not (folder / "churn").exists()


def test_force_says_what_it_kept(folder: Path) -> None:
    run_cli("new", "demo").check()
    (folder / "demo" / "README.md").write_text("mine")
    assert run_cli("new", "demo").code == 1
    out = run_cli("new", "demo", "--force").check()
    assert "demo/README.md was there; it is README.md.bak1 now." in out
