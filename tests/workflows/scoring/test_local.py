import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest
from tests.support.budget import IS_CI
from tests.support.child_process import run_python
from tests.support.trained_bundles import BundleOf

from windlass.core.batch import Batch, Prediction
from windlass.core.bundle import Bundle, BundleSchema, EngineRecord, Manifest
from windlass.core.row_schema import ColumnKind, ColumnSchema, RowSchema
from windlass.core.targets.target import TargetRecord
from windlass.engines.loader import load_engine
from windlass.errors import EngineError, InputError, SettingsError
from windlass.tables.writer import open_writer
from windlass.workflows.scoring.local import score
from windlass.workflows.scoring.request import ScoreRequest, ScoreSummary

ROW = RowSchema.from_columns(
    "Sample",
    ColumnSchema(name="x", kind=ColumnKind.NUMBER, ge=0),
    ColumnSchema(name="t", kind=ColumnKind.CATEGORY, categories=("a", "b"), nullable=True),
)
CSV = "t,id,x\na,n1,0.25\nb,n2,-1\n,n3,0.75\na,n4\nz,n5,oops\nb,n6,1\n"


class Half:
    """An engine to test with: `no` below one half, `yes` above."""

    name = "half"

    def __init__(self, fails_after: int = 10**9) -> None:
        self.left = fails_after

    def predict(self, batch: Batch) -> Prediction:
        if self.left <= 0:
            raise EngineError("The model failed. Train it again.")
        self.left -= 1
        share = np.clip(batch.numeric[:, 0], 0, 1)
        return Prediction((share > 0.5).astype(np.int64), np.stack([1 - share, share], axis=1))


class Double:
    name = "double"

    def predict(self, batch: Batch) -> Prediction:
        return Prediction(values=batch.numeric[:, 0] * 2)


def bundle(classes: tuple[str, ...] | None = ("no", "yes")) -> Bundle:
    manifest = Manifest(
        format=1,
        project="sample",
        created="2026-01-01T00:00:00Z",
        data_digest="0" * 64,
        engine=EngineRecord(name="onnx"),
        files={"model.joblib": "abcdef012345" + "0" * 52},
    )
    schema = BundleSchema(row=ROW, target=TargetRecord(name="y", classes=classes))
    return Bundle(Path(), manifest, "0" * 64, schema)


def run(source: Path, output: Path, engine: Any = None, **options: Any) -> ScoreSummary:
    request = ScoreRequest.from_paths(source, output, lenient=True, **options)
    return score(bundle(), engine or Half(), request, lambda share, message: None)


def rejected(path: Path) -> list[tuple[str, str, str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        header, *lines = csv.reader(file)
    assert header == ["row", "column", "reason", "values"]
    return [(row, column, reason, values) for row, column, reason, values in lines]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text(CSV, encoding="utf-8")
    return path


def test_good_rows_are_scored_and_bad_rows_rejected_with_the_reason(rows: Path) -> None:
    output = rows.with_name("out.csv")
    summary = run(rows, output, keep=("id",))
    assert (summary.rows, summary.scored, summary.rejected) == (6, 3, 3)
    version = ["abcdef012345"] * 3
    assert pv.read_csv(output).to_pydict() == {
        "row": [0, 2, 5],
        "id": ["n1", "n3", "n6"],
        "prediction": ["no", "yes", "yes"],
        "probability_no": [0.75, 0.25, 0.0],
        "probability_yes": [0.25, 0.75, 1.0],
        "model_version": version,
    }
    rejects = rejected(rows.with_name("out.csv.rejects.csv"))
    number = "Input should be a valid number, unable to parse string as a number"
    assert sorted((row, column, reason) for row, column, reason, _ in rejects) == [
        ("1", "x", "Input should be greater than or equal to 0"),
        ("3", "", "2 cells, the header names 3"),
        ("4", "t", "Input should be 'a' or 'b'"),
        ("4", "x", number),
    ]
    texts = {row: values for row, _, _, values in rejects}
    assert json.loads(texts["1"]) == {"t": "b", "id": "n2", "x": "-1"}
    assert texts["3"] == "a,n4"


@pytest.mark.parametrize("target", ["out.csv", "out.parquet", "out.arrow"])
@pytest.mark.parametrize("source", ["rows.csv", "rows.parquet", "rows.arrow"])
def test_any_form_gives_any_form(source: str, target: str, tmp_path: Path) -> None:
    table = pa.table({"t": ["a", None, "b"], "x": [0.25, 0.5, None]})
    with open_writer(tmp_path / source, table.schema, source.partition(".")[2]) as writer:
        writer.write_batch(table.to_batches()[0])
    output = tmp_path / target
    assert run(tmp_path / source, output).scored == 2
    read = {
        ".csv": pv.read_csv,
        ".parquet": pq.read_table,
        ".arrow": lambda path: pa.ipc.open_file(path.read_bytes()).read_all(),
    }
    result = read[output.suffix](output)
    assert result["row"].to_pylist() == [0, 1]
    assert result["probability_yes"].to_pylist() == [0.25, 0.5]


def test_a_regression_has_no_probabilities(rows: Path) -> None:
    output = rows.with_name("out.csv")
    request = ScoreRequest.from_paths(rows, output, keep=("id",), lenient=True)
    score(bundle(classes=None), Double(), request, lambda share, message: None)
    table = pv.read_csv(output)
    assert table.column_names == ["row", "id", "prediction", "model_version"]
    assert table["prediction"].to_pylist() == [0.5, 1.5, 2.0]


def test_rows_keep_their_numbers_over_many_batches_and_ragged_lines(tmp_path: Path) -> None:
    source, output = tmp_path / "rows.csv", tmp_path / "out.parquet"
    lines = [f"a,{n % 2}.0" if n % 1000 else "ragged" for n in range(400_000)]
    source.write_text("t,x\n" + "\n".join(lines), encoding="utf-8")
    shares: list[float] = []
    request = ScoreRequest.from_paths(source, output, lenient=True)
    summary = score(bundle(), Half(), request, lambda share, message: shares.append(share))
    assert summary.rejected == 400
    numbers = np.arange(400_000)
    table = pq.read_table(output)
    np.testing.assert_array_equal(table["row"].to_numpy(), numbers[numbers % 1000 != 0])
    expected = np.where(table["row"].to_numpy() % 2, "yes", "no").tolist()
    assert table["prediction"].to_pylist() == expected
    assert len(shares) > 2
    assert shares == sorted(shares)


def test_when_every_row_is_bad_both_files_say_so(tmp_path: Path) -> None:
    source = tmp_path / "rows.csv"
    source.write_text("t,x\na,-1\nragged\n", encoding="utf-8")
    summary = run(source, tmp_path / "out.csv", rejects=tmp_path / "bad.csv")
    assert (summary.scored, summary.rejected) == (0, 2)
    assert pv.read_csv(tmp_path / "out.csv").num_rows == 0
    assert len(rejected(tmp_path / "bad.csv")) == 2


@pytest.mark.parametrize(
    ("text", "keep", "message"),
    [
        ("t,X\na,1\n", (), "Did you mean 'x' by 'X'?"),
        (CSV, ("id", "no"), "no column 'no' to keep"),
        ("t,x,row\na,1,2\n", ("row",), "'row' cannot be kept"),
        ("t,id\na,1\n", ("id",), "lacks the column 'x'"),
        ("t,x\n", (), "holds no rows"),
        ("", (), "is empty"),
    ],
)
def test_an_input_that_cannot_be_scored_leaves_nothing(
    text: str, keep: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    source = tmp_path / "rows.csv"
    source.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        run(source, tmp_path / "out.csv", keep=keep)
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == [source]


def test_a_run_that_fails_leaves_the_old_files(tmp_path: Path) -> None:
    source, output = tmp_path / "rows.parquet", tmp_path / "out.csv"
    pq.write_table(pa.table({"t": ["a"] * 200_000, "x": [0.5] * 200_000}), source)
    output.write_text("old", encoding="utf-8")
    with pytest.raises(EngineError):
        run(source, output, engine=Half(fails_after=2))
    assert output.read_text(encoding="utf-8") == "old"
    assert sorted(tmp_path.iterdir()) == [output, source]


def test_what_a_killed_run_left_is_removed_and_a_live_one_is_not(rows: Path) -> None:
    dead, live = (rows.with_name(f".out.csv.{pid}.part") for pid in (2**22 + 1, os.getppid()))
    dead.touch()
    live.touch()
    run(rows, rows.with_name("out.csv"), keep=("id",))
    assert not dead.exists()
    assert live.exists()


@pytest.mark.parametrize(
    ("output", "rejects", "message"),
    [
        ("rows.csv", None, "--output and --input are both"),
        ("out.csv", "rows.csv", "--rejects and --input are both"),
        ("out.csv", "out.csv", "--rejects and --output are both"),
        ("folder", None, "is a folder"),
        ("gone/out.csv", None, "Cannot write"),
    ],
)
def test_files_that_cannot_be_written(
    output: str, rejects: str | None, message: str, rows: Path
) -> None:
    (rows.parent / "folder").mkdir()
    named = None if rejects is None else rows.with_name(rejects)
    with pytest.raises(SettingsError, match=message):
        run(rows, rows.parent / output, rejects=named, keep=("id",))
    assert rows.read_text(encoding="utf-8") == CSV


PEAK = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_local import run
def peak():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024
small, large = map(Path, sys.argv[2:4])
for _ in range(3):  # what the allocator and the threads of Arrow keep is there afterwards
    run(small, small.with_name(f"out{small.suffix}"))
before = peak()
run(large, large.with_name(f"out{large.suffix}"))
print(peak() - before)
"""


def batches(count: int) -> Iterator[Any]:
    x = np.random.default_rng(0).uniform(-0.01, 1, 50_000).round(3)
    for _ in range(count):
        yield pa.record_batch({"t": ["a"] * len(x), "x": x})


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads peak memory from /proc")
@pytest.mark.parametrize("form", ["csv", "parquet", "arrow"])
def test_memory_does_not_grow_with_the_input(form: str, tmp_path: Path) -> None:
    counts = (20, 80) if IS_CI else (10, 40)  # batches, of which 30 would be felt
    paths = [tmp_path / f"{count}.{form}" for count in counts]
    for path, count in zip(paths, counts, strict=True):
        first = next(batches(1))
        with open_writer(path, first.schema, form) as writer:
            for batch in batches(count):
                writer.write_batch(batch)
    growth = float(run_python(PEAK, Path(__file__).parent, *paths))
    # Arrow's file is mapped: its pages belong to the system
    mapped = paths[1].stat().st_size / 2**20 if form == "arrow" else 0
    assert growth < 15 + mapped


@pytest.mark.parametrize("model", ["linear", "roots"])
def test_rows_that_the_model_rejects_are_rejected_with_the_reason(
    model: str, bundle_of: BundleOf, tmp_path: Path
) -> None:
    sealed = Bundle.open(bundle_of("strict", model=model))
    source, output = tmp_path / "rows.csv", tmp_path / "out.csv"
    source.write_text(
        "amount,age,region,kind\n900,44,north,fire\n900,44,Atlantis,fire\n-1,44,north,fire\n"
        "0,44,north,flood\n100,20,south,theft\n"
    )
    request = ScoreRequest.from_paths(source, output, lenient=True)
    summary = score(sealed, load_engine(sealed), request, lambda share, message: None)
    assert (summary.scored, summary.rejected) == (2, 3)
    assert pv.read_csv(output)["row"].to_pylist() == [0, 4]
    lines = rejected(tmp_path / "out.csv.rejects.csv")
    category = "The model does not know this category"
    assert [line[:3] for line in lines] == [
        ("1", "region", category),
        ("2", "amount", "Input should be greater than or equal to 0"),
        ("3", "amount", "The model does not accept this number"),
        ("3", "kind", category),
    ]
    assert json.loads(lines[0][3])["region"] == "Atlantis"
