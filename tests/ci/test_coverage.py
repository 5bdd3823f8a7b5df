"""The table of docs/models.md: it has every estimator, and a sample of it is still true."""

import re

import pytest
from benchmarks.coverage import BEGIN, DOCS, END, try_case
from benchmarks.coverage_cases import Case, cases, estimators

SAMPLE = frozenset({"ElasticNet", "FeatureAgglomeration", "LGBMRegressor", "MultiTaskLasso"})
ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| (\w+)", re.MULTILINE)


@pytest.fixture(scope="module")
def page() -> str:
    return DOCS.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]


@pytest.fixture(scope="module")
def outcomes(page: str) -> dict[tuple[str, str], str]:
    return {
        (name, task): outcome
        for name, tasks, outcome in ROW.findall(page)
        for task in tasks.split(", ")
    }


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_every_estimator_is_listed(outcomes: dict[tuple[str, str], str]) -> None:
    listed = {name.partition(" (")[0] for name, _ in outcomes}
    installed = {name for members in estimators().values() for name, _ in members}
    assert len(installed) > 180
    assert installed - listed == set()


def test_none_is_wrong_and_more_are_exact_than_skl2onnx_converts(page: str) -> None:
    (line,) = re.findall(r"^\*\*Total\*\*.*$", page, re.MULTILINE)
    (exact,) = re.findall(r"(\d+) exact", line)
    (converted,) = re.findall(r"skl2onnx converts (\d+)", line)
    assert int(exact) > int(converted)
    assert ", 0 wrong, 0 tracebacks" in line


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    "case", [case for case in cases(SAMPLE) if case.task in ("binary", "regression")], ids=str
)
def test_a_sample_is_still_true(case: Case, outcomes: dict[tuple[str, str], str]) -> None:
    assert try_case(case, with_peer=False).outcome == outcomes[case.name, case.task]
