"""What the code may weigh: lines, the cost of `import windlass`, and the names it exports."""

import ast

import pytest
from tests.support.child_process import run_python
from tests.support.paths import ROOT

import windlass

SOURCES = sorted((ROOT / "src").rglob("*.py"))
EVERYTHING = sorted(
    path
    for folder in ("src", "tests", "examples", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)
Function = ast.FunctionDef | ast.AsyncFunctionDef

IMPORT = """
import sys, time
start = time.process_time()  # not the clock's: others may have this machine's cores
import windlass
spent = time.process_time() - start
heavy = {"numpy", "fastapi", "starlette", "pydantic", "pandas", "sklearn", "onnxruntime"}
print(spent, *sorted(heavy & sys.modules.keys()))
"""


def test_files_and_their_functions_are_small() -> None:
    long = []
    for path in EVERYTHING:
        text, file = path.read_text(), path.relative_to(ROOT)
        if (lines := len(text.splitlines())) > 400:
            long.append(f"{file}: {lines} lines")
        functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, Function)]
        lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
        long += [f"{file}: {name}, {lines}" for name, lines in lengths.items() if lines > 60]
    assert long == []


def test_modules_say_what_they_own() -> None:
    silent = [path for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


def test_nothing_is_called_utils() -> None:
    vague = {"util", "utils", "helper", "helpers", "common", "misc"}
    assert [path for path in EVERYTHING if vague & set(path.with_suffix("").parts)] == []


def test_import_is_light() -> None:
    runs = [run_python(IMPORT).split() for _ in range(5)]
    assert min(float(spent) for spent, *_ in runs) < 0.050
    assert runs[0][1:] == []


def test_exactly_these_names_are_exported() -> None:
    assert windlass.__all__ == [
        "AnomalyScore",
        "AsyncClient",
        "Bundle",
        "Candidate",
        "Classes",
        "Client",
        "ClientError",
        "ColumnSplit",
        "CostMatrix",
        "CountWithin",
        "CsvFormat",
        "DaysSince",
        "FeatureStore",
        "FeatureView",
        "Gate",
        "GroupSplit",
        "GroupTimeSplit",
        "HoursSince",
        "Metric",
        "Model",
        "NoFindings",
        "NotWorse",
        "Outputs",
        "Project",
        "ProjectRegistry",
        "Quantiles",
        "Quantity",
        "Ranking",
        "Row",
        "SumWithin",
        "TimeSplit",
        "Version",
        "VersionWarning",
        "WindlassError",
        "YearsSince",
        "application",
        "column",
        "features",
        "load",
        "read_ledger",
        "read_table",
        "registry",
        "train",
        "train_command",
    ]


@pytest.mark.parametrize("name", windlass.__all__)
def test_every_exported_name_is_there(name: str) -> None:
    assert getattr(windlass, name) is not None
