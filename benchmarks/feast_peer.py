"""Measures Feast's online read of the same features from SQLite, in a separate environment in benchmarks/.peers."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.feature_store import Subject
from benchmarks.machine import BenchmarkError
from benchmarks.peers import HERE, HOME

REQUIREMENT = "feast==0.67.0"
SCRIPT = HERE / "servers" / "feast_online.py"


def feast(subject: Subject) -> dict[str, float]:
    """Returns the median seconds of each kind of read. Raises BenchmarkError if Feast cannot be installed or fails."""
    folder = HOME / "feast"
    python = folder / "venv/bin/python"
    stamp = folder / "installed"
    if not stamp.exists():
        print(f"… installing Feast into {folder}", file=sys.stderr, flush=True)
        _run([sys.executable, "-m", "venv", "--clear", str(folder / "venv")])
        _run([str(python), "-m", "pip", "install", "--quiet", REQUIREMENT])
        stamp.touch()
    latest = subject.work / "feast.parquet"
    parts = subject.snapshot.latest_parts()
    pq.write_table(pa.concat_tables([pq.read_table(part) for part in parts]), latest)
    told = _run([str(python), str(SCRIPT), str(latest), str(subject.work / "feast")])
    found: dict[str, float] = json.loads(told.strip().splitlines()[-1])
    return found


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchmarkError(f"{Path(command[0]).name} {command[1:]}: {done.stderr.strip()[-600:]}")
    return done.stdout
