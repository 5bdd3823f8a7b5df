"""Generates load: wrk for single predictions, a plain client for batches."""

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import HOST, BenchmarkError, Running

SCRIPT = Path(__file__).with_name("post.lua")


@dataclass(frozen=True)
class Load:
    """A measurement of wrk: requests a second, and the 50th and 99th percentile of latency in milliseconds."""

    rate: float
    p50: float
    p99: float


def require_wrk() -> None:
    """Raises BenchmarkError if wrk is missing; the message says what to install."""
    if shutil.which("wrk") is None:
        raise BenchmarkError("wrk is missing. Install it: apt install wrk, or brew install wrk.")


def wrk(target: Running, connections: int, seconds: float) -> Load:
    """Posts the server's body repeatedly. Raises BenchmarkError for any error response or socket error."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s", str(SCRIPT)]
    url = f"http://{HOST}:{target.port}{target.server.predict}"
    ids = ",".join(map(str, target.server.ids))
    done = subprocess.run(
        [*command, url],
        env={**os.environ, "BODY": target.server.body, "KEY": target.server.key, "IDS": ids},
        capture_output=True,
        text=True,
        check=True,
    )
    seen = json.loads(done.stdout.strip().splitlines()[-1])
    if seen["refused"] or seen["socket_errors"] or not seen["requests"]:
        raise BenchmarkError(
            f"{target.server.name}, {connections} connections: {seen['requests']} answers,"
            f" {seen['refused']} of them not 2xx, {seen['socket_errors']} socket errors."
        )
    return Load(seen["requests"] / seen["seconds"], seen["p50_ms"], seen["p99_ms"])


def timed_post(target: Running, body: bytes, media: str) -> tuple[float, bytes]:
    """Posts a batch. Returns the seconds until its response was read, and the response."""
    headers = {"Content-Type": media, "Accept": media}
    begun = time.perf_counter()
    answer = target.post("/predict_batch", body, headers)
    return time.perf_counter() - begun, answer
