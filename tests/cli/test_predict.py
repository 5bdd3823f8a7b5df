import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest
from tests.support.child_process import WINDLASS, python_command
from tests.support.child_process import run as run_command
from tests.support.cli import run_cli

from windlass.core.bundle import Bundle

HEADER = "sepal_length,sepal_width,petal_length,petal_width"
SETOSA, VIRGINICA = "5.1,3.5,1.4,0.2", "6.9,3.1,5.4,2.1"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bundle(iris: Path) -> Path:
    """Logistic regression on Iris."""
    return iris


@pytest.fixture
def run(tmp_path: Path, bundle: Path) -> Run:
    """`windlass predict` on rows of CSV, into tmp_path/out.csv: exit code, stdout and stderr."""

    def call(rows: list[str], *options: str, header: str = HEADER) -> tuple[int, str, str]:
        source = tmp_path / "rows.csv"
        source.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        words = ["predict", str(bundle), "--input", str(source)]
        if "--output" not in options:
            words += ["--output", str(tmp_path / "out.csv")]
        ended = run_cli(*words, *options)
        return ended.code, ended.out, ended.err

    return call


def test_a_file_of_rows_becomes_a_file_of_predictions(
    run: Run, tmp_path: Path, bundle: Path
) -> None:
    code, out, err = run([SETOSA, "5.1,3.5,1.4,-1", VIRGINICA])
    rejects = tmp_path / "out.csv.rejects.csv"
    assert (code, err) == (
        1,
        f"windlass: Rejected 1 of 3 rows. Read why in {rejects}, or allow it with --max-rejects.\n",
    )
    assert out.startswith("Scored 2 of 3 rows in ")
    assert f"Rejected 1 row: {tmp_path / 'out.csv.rejects.csv'}" in out
    table = pv.read_csv(tmp_path / "out.csv").to_pydict()
    assert table["row"] == [0, 2]
    assert table["prediction"] == ["setosa", "virginica"]
    assert set(table["model_version"]) == {Bundle.open(bundle).version}
    total = sum(table[f"probability_{name}"][0] for name in ("setosa", "versicolor", "virginica"))
    assert total == pytest.approx(1.0)


def test_json_and_nothing_else(run: Run, tmp_path: Path, bundle: Path) -> None:
    output, rejects = tmp_path / "out.parquet", tmp_path / "bad.csv"
    code, out, err = run(
        [SETOSA, VIRGINICA], "--json", "--output", str(output), "--rejects", str(rejects)
    )
    assert (code, err) == (0, "")
    answer = json.loads(out)
    assert answer.pop("seconds") > 0
    assert answer == {
        "rows": 2,
        "scored": 2,
        "rejected": 0,
        "ignored_columns": [],
        "output": str(output),
        "rejects": str(rejects),
        "model_version": Bundle.open(bundle).version,
    }
    assert pq.read_table(output).num_rows == 2


def test_other_columns_are_ignored_and_named_or_kept(run: Run, tmp_path: Path) -> None:
    rows, header = [f"n1,{SETOSA},x"], f"id,{HEADER},species"
    code, _, err = run(rows, header=header)
    assert code == 0
    assert err.count("\n") == 1
    assert "are ignored: id,species. Copy them to the output with --keep id,species" in err
    assert run(rows, "--keep", "id,species", header=header)[::2] == (0, "")
    assert pv.read_csv(tmp_path / "out.csv").to_pydict()["id"] == ["n1"]


def test_when_every_row_is_rejected_the_exit_code_says_so(run: Run, tmp_path: Path) -> None:
    code, _, err = run(["1,2,3", "1,2,3,x"], "--lenient", "--max-rejects", "100%")
    assert code == 1
    rejects = tmp_path / "out.csv.rejects.csv"
    assert err == f"windlass: Every row was rejected. Read why in {rejects}.\n"
    assert rejects.read_text(encoding="utf-8").count("\n") == 3


def test_lines_that_are_no_rows_fail_the_file_unless_it_is_lenient(
    run: Run, tmp_path: Path
) -> None:
    rows = [SETOSA, "1,2,3", f'{SETOSA[:-3]}"0.2', VIRGINICA, f"{VIRGINICA},1"]
    code, out, err = run(rows)
    assert (code, out) == (1, "")
    assert "rows.csv cannot be read as csv: line 3 has 3 cells, the header names 4" in err
    assert not (tmp_path / "out.csv").exists()
    code, out, _ = run(rows, "--lenient")
    assert code == 1
    assert out.startswith("Scored 2 of 5 rows in ")
    assert run(rows, "--lenient", "--max-rejects", "3")[0] == 0
    assert pv.read_csv(tmp_path / "out.csv").to_pydict()["row"] == [0, 3]


@pytest.mark.parametrize(
    ("limit", "code"),
    [("0", 1), ("1", 0), ("25%", 0), ("24.9%", 1), ("0.25", 0), (".25", 0), ("0.24", 1), ("0%", 1), ("100%", 0),
     ("1.0", 2), ("1.5", 2), ("-1", 2), ("101%", 2), ("1 %", 2), ("", 2), ("one", 2), ("1e2", 2), ("inf", 2)],
)  # fmt: skip
def test_so_many_rows_may_be_rejected(run: Run, limit: str, code: int) -> None:
    rows = [SETOSA, "5.1,3.5,1.4,-1", VIRGINICA, SETOSA]
    assert run(rows, f"--max-rejects={limit}")[0] == code


def test_refusals_are_one_line(run: Run, tmp_path: Path) -> None:
    code, out, err = run([SETOSA], "--output", str(tmp_path / "out.xlsx"))
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "ends in .csv, .parquet or .arrow" in err
    words = ["predict", str(tmp_path), "--input", "rows.csv", "--output", "out.csv"]
    ended = run_cli(*words)
    assert ended.code == 1
    assert "No bundle at" in ended.err
    assert run_cli("predict", tmp_path).code == 2


def test_no_data_frame_library_is_imported_to_predict(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(f"{HEADER}\n{SETOSA}\n", encoding="utf-8")
    code = """
import sys
from windlass.cli.commands import app
app(sys.argv[1:], standalone_mode=False)
print(sorted({"pandas", "sklearn", "scipy", "starlette"} & sys.modules.keys()))
"""
    words = ["predict", bundle, "--input", "rows.csv", "--output", "out.parquet"]
    output = run_command(python_command(code, *words), cwd=tmp_path).check()
    assert output.endswith("[]\n")


@pytest.mark.parametrize("cell", [b"\xed\xa0\x80", b"1" * (1 << 20)], ids=["UTF-8", "long line"])
def test_a_file_that_cannot_be_read_never_aborts_the_process(
    tmp_path: Path, bundle: Path, cell: bytes
) -> None:
    """A thread of the parser that calls Python as the interpreter ends would abort some processes."""
    source = tmp_path / "rows.csv"
    source.write_bytes(f"{HEADER}\n5.1,3.5,1.4,".encode() + cell + b"\n")
    options = ("--input", source, "--output", tmp_path / "out.csv")
    for _ in range(4):
        ended = run_command([WINDLASS, "predict", bundle, *options], warm=False)
        assert (ended.code, len(ended.error_lines)) == (1, 1), ended


def test_rows_behind_a_quote_that_is_not_closed_are_an_error(run: Run, tmp_path: Path) -> None:
    rows = [SETOSA] * 1000
    rows[3] = '5.1,3.5,1.4,"0.2'
    code, out, err = run(rows)
    assert (code, out) == (1, "")
    assert "rows.csv cannot be read as csv: line 5 opens a quote that is never closed" in err
    assert err.endswith("Or reject such lines one by one: --lenient.\n")
    assert not (tmp_path / "out.csv").exists()


def test_a_quoted_cell_of_many_lines_is_a_cell(run: Run) -> None:
    code, out, _ = run(
        [f'{SETOSA},"a\n""b"",\nc"', VIRGINICA + ",d"], "--keep", "note", header=f"{HEADER},note"
    )
    assert code == 0
    assert out.startswith("Scored 2 of 2 rows")
