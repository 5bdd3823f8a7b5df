"""Benchmarks run to their end; what they measure is not tested here."""

import sys

import pytest
from tests.support.budget import IS_CI
from tests.support.child_process import run
from tests.support.paths import ROOT

pytestmark = pytest.mark.skipif(not IS_CI, reason="some seconds of load: with CI=true")


@pytest.mark.parametrize(
    ("module", "options", "last"),
    [
        ("features", ["--quick"], "point-in-time join"),
        ("soak", ["--seconds", "8", "--limit", "1000"], "Growth after"),
    ],
)
def test_a_benchmark_runs(module: str, options: list[str], last: str) -> None:
    ended = run([sys.executable, "-m", f"benchmarks.{module}", *options], cwd=ROOT)
    assert last in ended.check()
