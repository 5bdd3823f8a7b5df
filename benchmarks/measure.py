"""The measurements. Each takes the servers in turn, round after round, so that a slow minute affects all of them."""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
from benchmarks.load import timed_post, wrk
from benchmarks.machine import BenchmarkError, Server, on_cores, running
from benchmarks.report import ARROW_ROWS, JSON_ROWS, OURS, SCRIPT, Report, Sample, Timing, training

ROOT = Path(__file__).parents[1]
ARROW = "application/vnd.apache.arrow.stream"
FLOWER = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
LOW, HIGH = (4.3, 2.0, 1.0, 0.1), (7.9, 4.4, 6.9, 2.5)  # range of the Iris data, in cm


@dataclass(frozen=True)
class Plan:
    """Durations and rounds of the measurements, the folder for files, and the core of the servers."""

    rounds: int
    seconds: float
    work: Path
    core: int


def models(plan: Plan, names: Sequence[str]) -> dict[str, tuple[Path, Path]]:
    """Trains each model twice, and returns our bundle and the pickle of the minimal script."""
    found = {}
    for name in names:
        bundle, plain = plan.work / f"{name}-bundle", plan.work / f"{name}-plain"
        for command in (_our_training(name, bundle), _minimal_training(name, plain)):
            _run(command)
        found[name] = (bundle, plain / "model.joblib")
    return found


def serving_samples(servers: Sequence[Server], model: str, plan: Plan, report: Report) -> None:
    """Measures single predictions over 1 and 32 connections, with a new process for each turn."""
    for turn in range(plan.rounds):
        for server in servers:
            _say(f"{model}, round {turn + 1}: {server.name}")
            with running(server, plan.core, _log(plan, server)) as up:
                wrk(up, 32, 1)  # warm-up
                loads = {count: wrk(up, count, plan.seconds) for count in (1, 32)}
                memory = up.memory()
            report.samples += [
                Sample(
                    server.name, model, count, load.rate, load.p50, load.p99, memory, up.started_in
                )
                for count, load in loads.items()
            ]


def batch_timings(servers: Sequence[Server], plan: Plan, report: Report) -> None:
    """Measures 10,000 JSON rows on every server, and 1,000,000 rows of an Arrow stream on ours."""
    table = _flowers(10_000)
    body = json.dumps(table.to_pylist()).encode()
    arrow = stream(_flowers(1_000_000))
    for turn in range(plan.rounds):
        for server in servers:
            _say(f"batches, round {turn + 1}: {server.name}")
            with running(server, plan.core, _log(plan, server)) as up:
                spent = []
                for _ in range(8):
                    seconds, answer = timed_post(up, body, "application/json")
                    if len(json.loads(answer)["predictions"]) != table.num_rows:
                        raise BenchmarkError(f"{server.name} did not answer every row.")
                    spent.append(seconds)
                # the first one is a warm-up
                report.timings.append(Timing(JSON_ROWS, server.name, median(spent[1:])))
                if server.name == OURS:
                    seconds, answer = timed_post(up, arrow, ARROW)
                    if pa.ipc.open_stream(answer).read_all().num_rows != 1_000_000:
                        raise BenchmarkError(f"{server.name} did not answer every Arrow row.")
                    report.timings.append(Timing(ARROW_ROWS, server.name, seconds))


def training_timings(names: Sequence[str], plan: Plan, report: Report) -> None:
    """Measures train.py without tracking and the minimal script in turn; the first turn warms the disk's cache."""
    for turn in range(plan.rounds + 1):
        for name in names:
            _say(f"training {name}, round {turn}")
            for by, command in (
                (SCRIPT, _minimal_training(name, plan.work / "plain")),
                (OURS, _our_training(name, plan.work / "bundle")),
            ):
                seconds = _run(command)
                if turn:
                    report.timings.append(Timing(training(name), by, seconds))


def _our_training(model: str, bundle: Path) -> list[str]:
    script = str(ROOT / "examples/iris/train.py")
    return [sys.executable, script, "--model", model, "--artifacts", str(bundle), "--no-track"]


def _minimal_training(model: str, out: Path) -> list[str]:
    script = str(ROOT / "benchmarks/minimal_train.py")
    return [sys.executable, script, "--model", model, "--out", str(out)]


def _run(command: Sequence[str]) -> float:
    """Runs a command on all cores. Returns its wall time in seconds."""
    with on_cores(set(range(os.cpu_count() or 1))):
        begun = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        spent = time.perf_counter() - begun
    if done.returncode != 0:
        raise BenchmarkError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return spent


def _flowers(rows: int) -> pa.Table:
    values = np.random.default_rng(7).uniform(LOW, HIGH, (rows, len(FLOWER))).round(1)
    return pa.table(dict(zip(FLOWER, values.T, strict=True)))


def stream(table: pa.Table) -> bytes:
    """Returns a table as an Arrow stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=65_536)
    return sink.getvalue()


def _log(plan: Plan, server: Server) -> Path:
    return plan.work / f"{server.name.replace(' ', '')}.log"


def _say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)
