"""Compares predictions by id with predictions by row: `make bench`, or `python -m benchmarks.by_id`.

Credit risk in production, with features in the SQLite store; one server, measured in turn. The server runs on one core,
wrk on another.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow.parquet as pq
from benchmarks.load import Load, require_wrk, wrk
from benchmarks.machine import BenchmarkError, Running, Server, describe, running, split_cores
from benchmarks.measure import ROOT
from benchmarks.report import Verdict, number, table, targets

from windlass.features.offline.store import OfflineStore
from windlass.settings import Settings

PROJECT = "credit_risk"
IDS = 2_000  # requested, of all ids
PROMISED = 0.7  # target: share of the requests a second by row
BY_ROW, BY_ID = "/predict", "/predict/{id}"


def main() -> int:
    """Measures what the command line selects. Returns 1 if a server failed."""
    options = _arguments()
    rounds, seconds = (1, 1.0) if options.quick else (options.rounds, options.seconds)
    try:
        require_wrk()
        core, _ = split_cores()
        with tempfile.TemporaryDirectory(prefix="windlass-bench-") as work:
            home = Path(work) / "home"
            server = _prepared(home)
            with running(server, core, Path(work) / "server.log") as by_row:
                print(_markdown(_loads(by_row, _ids(home), rounds, seconds)))
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _prepared(home: Path) -> Server:
    """Returns the server, with materialised features and a version in production."""
    print("… credit risk, from made up loans to production", file=sys.stderr, flush=True)
    variables = {"WINDLASS_HOME": str(home)}
    command = [sys.executable, "examples/demo.py", f"examples/{PROJECT}"]
    environment = {**os.environ, **variables}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BenchmarkError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    windlass = str(Path(sys.executable).with_name("windlass"))
    row = {
        "nb_previous_loans": 4,
        "avg_amount_loans_previous": 117.25,
        "age": 41,
        "years_on_the_job": 6,
        "flag_own_car": 1,
    }
    return Server(
        "Windlass",
        (windlass, "serve", PROJECT, "--no-worker", "--port", "{port}"),
        json.dumps(row),
        expect="class_probabilities",
        ready="/readyz",
        environment=variables,
        folder=home,
    )


def _ids(home: Path) -> tuple[int, ...]:
    """Returns a random sample of the ids in the store."""
    snapshot = OfflineStore.from_settings(Settings(home=home), PROJECT).snapshot()
    clients = pq.read_table(snapshot.latest_parts(), columns=["id"])["id"].to_numpy()
    return tuple(np.random.default_rng(1).choice(clients, IDS).tolist())


def _loads(
    by_row: Running, ids: tuple[int, ...], rounds: int, seconds: float
) -> dict[str, list[Load]]:
    by_id = replace(by_row, server=replace(by_row.server, predict="/predict/", body="", ids=ids))
    subjects = {BY_ROW: by_row, BY_ID: by_id}
    for subject in subjects.values():
        wrk(subject, 32, 1)  # warm-up
    loads: dict[str, list[Load]] = {name: [] for name in subjects}
    for turn in range(rounds):
        print(f"… round {turn + 1}", file=sys.stderr, flush=True)
        for name, subject in subjects.items():
            loads[name].append(wrk(subject, 32, seconds))
    return loads


def _markdown(loads: dict[str, list[Load]]) -> str:
    rows = [
        [
            name,
            *(
                number(median(getattr(one, what) for one in seen))
                for what in ("rate", "p50", "p99")
            ),
        ]
        for name, seen in loads.items()
    ]
    ratios = [
        mine.rate / other.rate for mine, other in zip(loads[BY_ID], loads[BY_ROW], strict=True)
    ]
    verdict = Verdict(f"{BY_ID} against {BY_ROW}", median(ratios), PROMISED, "x", at_least=True)
    return "\n\n".join(
        [
            f"Measured on {describe()['processor']}, 32 connections. Every ratio is of one round; trust the ratios.",
            table(["route", "requests/s", "p50 ms", "p99 ms"], rows),
            targets([verdict]),
        ]
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.by_id", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="turns of both (default 5)")
    parser.add_argument("--seconds", type=float, default=3, help="of load each time (default 3)")
    parser.add_argument(
        "--quick", action="store_true", help="one round of one second: does it run?"
    )
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
