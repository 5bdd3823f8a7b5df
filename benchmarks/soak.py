"""Measures the memory of a server under requests of every format and outcome: `python -m benchmarks.soak`.

Clients send valid and invalid rows, tables and tensors, bodies over the limits, and requests in pipelines; they hang up
in the middle of a body, and leave answers unread. Exits with 1 where a process's memory grows by more than the limit.
"""

import argparse
import gzip
import io
import json
import random
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression, median

import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks import measure
from benchmarks.machine import HOST, BenchmarkError, Running, Server, running, split_cores

CLIENTS = 4
WARM_UP = 0.4  # share of the time after which memory may grow no more
SAMPLE_SECONDS = 1.0
ARROW, PARQUET = measure.ARROW, "application/vnd.apache.parquet"
JSON, CSV = "application/json", "text/csv"
ROW = json.dumps(measure.FLOWER).encode()
NAMES = ",".join(measure.FLOWER).encode()
VALUES = ",".join(map(str, measure.FLOWER.values())).encode()


@dataclass(frozen=True)
class SoakRequest:
    """Request that the soak sends, and the status that answers it."""

    name: str
    status: int
    path: str
    body: bytes
    media: str = JSON
    headers: str = ""

    def encode(self) -> bytes:
        """Returns the bytes to send."""
        head = f"POST {self.path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {self.media}\r\n{self.headers}"
        return f"{head}Content-Length: {len(self.body)}\r\n\r\n".encode() + self.body


@dataclass(frozen=True)
class MemorySample:
    """Memory of one process at a time: seconds since the beginning, and megabytes."""

    pid: int
    seconds: float
    megabytes: float


def main() -> int:
    """Measures what the command line selects. Returns 1 if a server failed, or its memory grew beyond the limit."""
    options = _arguments()
    try:
        core, _ = split_cores()
        with tempfile.TemporaryDirectory(prefix="windlass-bench-") as work:
            plan = measure.Plan(1, options.seconds, Path(work), core)
            (bundle, _), *_ = measure.models(plan, ["logreg"]).values()
            server = _server(bundle, Path(work) / "home", options.workers)
            with running(server, core, Path(work) / "server.log") as up:
                samples, counts = _soak(up, options.seconds)
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(_markdown(samples, options.seconds), f"\n\n{sum(counts.values()):,} answers: ", end="")
    print(", ".join(f"{count:,} of {name}" for name, count in sorted(counts.items())))
    worst = max(_growth(mine, options.seconds) for mine in _by_process(samples))
    print(f"\nGrowth after {WARM_UP:.0%} of the time: {worst:.1f} MB, limit {options.limit:g} MB.")
    return 0 if worst <= options.limit else 1


def _server(bundle: Path, home: Path, workers: int) -> Server:
    windlass = str(Path(sys.executable).with_name("windlass"))
    command = (windlass, "serve", str(bundle), "--host", HOST, "--port", "{port}")
    return Server(
        "Windlass",
        (*command, "--workers", str(workers)),
        json.dumps(measure.FLOWER),
        ready="/readyz",
        environment={"WINDLASS_HOME": str(home), "WINDLASS_LEDGER_MAX_MB": "64"},
    )


def soak_requests() -> list[SoakRequest]:
    """Returns requests of every format, valid ones and others."""
    table = pa.Table.from_pylist([measure.FLOWER] * 500)
    parquet = io.BytesIO()
    pq.write_table(table, parquet)
    rows = b",".join([ROW] * 200)
    tensor = b'{"inputs":[{"name":"x","datatype":"FP64","shape":[%d,4],"data":[%b]}]}'
    names = b",".join(b'"k%d":1' % number for number in range(4000))
    gzipped = "Content-Encoding: gzip\r\n"
    return [
        SoakRequest("row", 200, "/predict", ROW),
        SoakRequest("invalid row", 422, "/predict", b'{"sepal_length":-1}'),
        SoakRequest("no JSON", 400, "/predict", b'{"sepal'),
        SoakRequest("unknown fields", 422, "/predict", b"{%b}" % names),
        SoakRequest("other type", 415, "/predict", ROW, CSV),
        SoakRequest("rows", 200, "/predict_batch", b"[%b]" % rows),
        SoakRequest("many rows", 200, "/predict_batch", b"[%b]" % b",".join([rows] * 50)),
        SoakRequest(
            "rows, gzip", 200, "/predict_batch", gzip.compress(b"[%b]" % rows), JSON, gzipped
        ),
        SoakRequest("no gzip", 400, "/predict_batch", b"[%b]" % rows, JSON, gzipped),
        SoakRequest("rows with a fault", 422, "/predict_batch", b"[%b,{}]" % rows),
        SoakRequest("CSV", 200, "/predict_batch", b"\n".join([NAMES] + [VALUES] * 500), CSV),
        SoakRequest("ragged CSV", 400, "/predict_batch", b"\n".join([NAMES, VALUES, b"1"]), CSV),
        SoakRequest("Arrow", 200, "/predict_batch", measure.stream(table), ARROW),
        SoakRequest("half of Arrow", 400, "/predict_batch", measure.stream(table)[:2000], ARROW),
        SoakRequest("Parquet", 200, "/predict_batch", parquet.getvalue(), PARQUET),
        SoakRequest("V1", 200, "/v1/models/iris:predict", b'{"instances":[%b]}' % rows),
        SoakRequest("V2", 200, "/v2/models/iris/infer", tensor % (1, VALUES)),
        SoakRequest("V2, shape", 400, "/v2/models/iris/infer", tensor % (2, VALUES)),
        SoakRequest("MLflow", 200, "/invocations", b'{"dataframe_records":[%b]}' % rows),
        SoakRequest("MLflow's CSV", 200, "/invocations", b"\n".join([VALUES] * 300), CSV),
        SoakRequest("too large", 413, "/predict", b" " * (1 << 20)),
        SoakRequest("nowhere", 404, "/nowhere", ROW),
    ]


def _soak(up: Running, seconds: float) -> tuple[list[MemorySample], Counter[str]]:
    """Sends requests for so long; returns samples of memory, and how many of which kind were answered."""
    ends = time.monotonic() + seconds
    counts: Counter[str] = Counter()
    failures: list[str] = []

    def work(seed: int) -> None:
        try:
            _send_until(ends, up.port, random.Random(seed), counts)
        except Exception as error:  # noqa: BLE001 - ends the measurement
            failures.append(f"A client failed: {error!r}")

    clients = [threading.Thread(target=work, args=(seed,)) for seed in range(CLIENTS)]
    for client in clients:
        client.start()
    samples, begun = [], time.monotonic()
    while time.monotonic() < ends and not failures:
        time.sleep(SAMPLE_SECONDS)
        now = time.monotonic() - begun
        samples += [MemorySample(pid, now, size / 1e6) for pid, size in up.memory_shares().items()]
    for client in clients:
        client.join()
    if failures:
        raise BenchmarkError(failures[0])
    return samples, counts


def _send_until(ends: float, port: int, chance: random.Random, counts: Counter[str]) -> None:
    all_requests = soak_requests()
    while time.monotonic() < ends:
        behaviour = chance.choice([_ask_in_turn, _ask_in_turn, _pipeline, _hang_up, _leave_unread])
        with socket.create_connection((HOST, port), timeout=60) as connection:
            for name in behaviour(connection, chance.choices(all_requests, k=20)):
                counts[name] += 1


def _ask_in_turn(connection: socket.socket, chosen: Sequence[SoakRequest]) -> Iterator[str]:
    with connection.makefile("rb") as answers:
        for each in chosen:
            with suppress(ConnectionError):  # one that is refused may be cut off
                connection.sendall(each.encode())
            closes = _check(answers, each)
            yield each.name
            if closes:
                return


def _pipeline(connection: socket.socket, chosen: Sequence[SoakRequest]) -> Iterator[str]:
    small = [each for each in chosen if len(each.body) < 20_000]
    with connection.makefile("rb") as answers:
        connection.sendall(b"".join(each.encode() for each in small))
        for each in small:
            _check(answers, each)
            yield "pipelined"


def _hang_up(connection: socket.socket, chosen: Sequence[SoakRequest]) -> Iterator[str]:
    request = chosen[0].encode()
    connection.sendall(request[: len(request) - len(chosen[0].body) // 2 - 1])
    yield "hung up"


def _leave_unread(connection: socket.socket, chosen: Sequence[SoakRequest]) -> Iterator[str]:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sendall(b"".join(each.encode() for each in chosen[:2]))
    time.sleep(0.05)
    yield "left unread"


def _check(answers: io.BufferedReader, expected: SoakRequest) -> bool:
    """Reads an answer; returns whether the server closes. Raises BenchmarkError for another status."""
    lines = list(iter(answers.readline, b"\r\n")) if (first := answers.readline()) else []
    status = int(first.split()[1]) if first else 0
    if status != expected.status:
        raise BenchmarkError(f"{expected.name} was answered {status}, not {expected.status}.")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(b":") for x in lines)}
    answers.read(int(headers[b"content-length"]))
    return headers.get(b"connection") == b"close"


def _by_process(samples: Sequence[MemorySample]) -> list[list[MemorySample]]:
    pids = dict.fromkeys(sample.pid for sample in samples)
    return [[sample for sample in samples if sample.pid == pid] for pid in pids]


def _growth(samples: Sequence[MemorySample], seconds: float) -> float:
    """Returns by how many megabytes the memory grew from the warm-up to the end: medians of a fifth of the time."""
    begun, fifth = WARM_UP * seconds, 0.2 * seconds
    early = [each.megabytes for each in samples if begun <= each.seconds < begun + fifth]
    late = [each.megabytes for each in samples if each.seconds >= seconds - fifth]
    if not early or not late:
        raise BenchmarkError("A worker ended, or the time is too short for samples of its memory.")
    return median(late) - median(early)


def _slope(samples: Sequence[MemorySample], seconds: float) -> float:
    """Returns the megabytes by which the memory grew in an hour, by the line through the samples after the warm-up."""
    late = [each for each in samples if each.seconds >= WARM_UP * seconds]
    line = linear_regression([each.seconds for each in late], [each.megabytes for each in late])
    return float(line.slope) * 3600


def _markdown(samples: Sequence[MemorySample], seconds: float) -> str:
    lines = ["| process | first | last | most | MB an hour |", "|---|---|---|---|---|"]
    for mine in _by_process(samples):
        sizes = [each.megabytes for each in mine]
        cells = [f"{size:.1f} MB" for size in (sizes[0], sizes[-1], max(sizes))]
        lines.append(f"| {mine[0].pid} | {' | '.join(cells)} | {_slope(mine, seconds):+.1f} |")
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to send requests")
    parser.add_argument("--workers", type=int, default=2, help="processes of the server")
    parser.add_argument(
        "--limit", type=float, default=16.0, help="megabytes that a process may grow by"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
