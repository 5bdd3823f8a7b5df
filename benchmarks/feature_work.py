"""Measures the computation of features: against the notebook, and of 20 million loans in bounded memory."""

import importlib
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import pandas as pd
from benchmarks.feature_store import EXAMPLE, Subject
from benchmarks.machine import BenchmarkError
from benchmarks.report import Verdict

from windlass.features.engines.duckdb import features_of_file

LOANS_OF_A_CLIENT = 21.3  # on average, by the generator
LARGE, LARGE_GB = 20_000_000, 4.0
PROMISED = 12.0


def history(subject: Subject, rounds: int) -> list[Verdict]:
    """Measures all five features of every loan, from Parquet to memory, by the notebook and by the view in turn."""
    sys.path.insert(0, str(EXAMPLE))
    notebook = importlib.import_module("notebook").notebook_features
    features_of_file(subject.view, subject.record, subject.file)  # the first call imports
    ours, theirs = [], []
    for _ in range(rounds):
        begun = time.perf_counter()
        computed = features_of_file(subject.view, subject.record, subject.file)
        ours.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        by_notebook = notebook(pd.read_parquet(subject.file))
        theirs.append(time.perf_counter() - begun)
        if len(computed) != len(by_notebook):
            raise BenchmarkError("The notebook and the view did not give the same number of rows.")
    ratios = [slow / quick for slow, quick in zip(theirs, ours, strict=True)]
    what = (
        f"all features, against the notebook ({median(ours):.3g} s against {median(theirs):.3g} s)"
    )
    return [Verdict(what, median(ratios), PROMISED, "x", at_least=True)]


def large(work: Path) -> list[Verdict]:
    """Measures the build of 20 million generated loans, and the memory of its process."""
    windlass = str(Path(sys.executable).with_name("windlass"))
    file = work / "large.parquet"
    clients = str(round(LARGE / LOANS_OF_A_CLIENT))
    generate = [
        windlass,
        "features",
        "generate",
        str(EXAMPLE),
        "--entities",
        clients,
        "--out",
        str(file),
    ]
    _run(generate, work)
    seconds, gigabytes = _run(
        [windlass, "features", "build", str(EXAMPLE), "--data", str(file)], work
    )
    what = f"memory of building 20 million loans, in {seconds:,.0f} s"
    return [Verdict(what, gigabytes, LARGE_GB, "GB", at_least=False)]


def _run(command: list[str], home: Path) -> tuple[float, float]:
    """Returns seconds, and the peak of resident memory in GB. Raises BenchmarkError if it fails."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, env={**os.environ, "WINDLASS_HOME": str(home / "home")}, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise BenchmarkError(f"{' '.join(command)} ended with {process.returncode}.")
    return time.perf_counter() - begun, usage.ru_maxrss * 1024 / 1e9
