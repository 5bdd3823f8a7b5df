"""Compares Windlass with FastAPI by hand and an echo server: `make bench`, or `python -m benchmarks.serving`.

Every server runs on one core and wrk on another. It prints medians, and ratios with their targets.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from secrets import token_urlsafe

from benchmarks import measure, peers
from benchmarks.guarding import guard_timings
from benchmarks.load import require_wrk
from benchmarks.machine import BenchmarkError, Server, describe, split_cores
from benchmarks.measure import FLOWER, ROOT, Plan
from benchmarks.report import ECHO, OURS, PLAIN, Report
from benchmarks.versions import Versions

PARTS = ("serving", "batch", "authenticator", "start", "train")
MODELS = ("logreg", "rf")


def main() -> int:
    """Measures what the command line selects. Returns 1 if a server failed."""
    arguments = _arguments()
    try:
        require_wrk()
        report = Report(describe())
        core, _ = split_cores()
        with tempfile.TemporaryDirectory(prefix="windlass-bench-") as work:
            rounds, seconds = (1, 1.0) if arguments.quick else (arguments.rounds, arguments.seconds)
            plan = Plan(rounds, seconds, Path(work), core)
            _measure(arguments.only, plan, report, with_peers=arguments.peers)
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(report.markdown())
    if arguments.json:
        arguments.json.write_text(json.dumps(report.json(), indent=1) + "\n")
    return 0


def _measure(parts: Sequence[str], plan: Plan, report: Report, *, with_peers: bool) -> None:
    trained = measure.models(plan, MODELS if "serving" in parts else MODELS[:1])
    if "serving" in parts:
        for name, (bundle, pickle) in trained.items():
            measure.serving_samples(_servers(bundle, pickle, plan.work), name, plan, report)
    elif "start" in parts:
        short = Plan(plan.rounds, 1.0, plan.work, plan.core)
        measure.serving_samples(_servers(*trained["logreg"], plan.work), "logreg", short, report)
    if "batch" in parts:
        windlass, plain, _ = _servers(*trained["logreg"], plan.work)
        measure.batch_timings([windlass, plain], plan, report)
    if "authenticator" in parts:
        guard_timings(plan.rounds, plan.work / "guard", report)
    if "train" in parts:
        measure.training_timings(MODELS, plan, report)
    if with_peers:
        for peer in peers.PEERS:
            try:
                measure.serving_samples([peers.prepare(peer)], "logreg", plan, report)
            except BenchmarkError as error:
                report.failures.append(f"{peer.name} was not measured: {error}")


def _servers(bundle: Path, pickle: Path, work: Path) -> tuple[Server, Server, Server]:
    """Returns the servers; ours as in production: a version of the registry, a key, a rate limit."""
    body = json.dumps(FLOWER)
    home = work / f"{bundle.name}-home"
    if not home.exists():
        with Versions(home, bundle, 1):
            pass
    key = f"wl_{token_urlsafe(32)}"
    windlass = str(Path(sys.executable).with_name("windlass"))
    return (
        Server(
            OURS,
            (windlass, "serve", "iris", "--host", "127.0.0.1", "--port", "{port}"),
            body,
            ready="/readyz",
            environment={
                "WINDLASS_HOME": str(home),
                "WINDLASS_AUTH": "required",
                "WINDLASS_API_KEYS": f"bench:predict:{key}",
                "WINDLASS_RATE_LIMIT": "900000000",
            },
            folder=work,
            key=key,
        ),
        _plain(PLAIN, "fastapi_joblib", body, environment={"MODEL": str(pickle)}),
        _plain(ECHO, "echo", body, expect="sepal_length"),
    )


def _plain(
    name: str,
    module: str,
    body: str,
    expect: str = "setosa",
    environment: dict[str, str] | None = None,
) -> Server:
    command = (
        *(sys.executable, "-m", "uvicorn", f"benchmarks.servers.{module}:app", "--port", "{port}"),
        *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
    )
    return Server(name, command, body, expect=expect, environment=environment or {}, folder=ROOT)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench BENCH=…", description=__doc__)
    parser.add_argument(
        "--only", type=_parts, default=PARTS, help=f"of {','.join(PARTS)}; all by default"
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns of every server (default 3)")
    parser.add_argument("--seconds", type=float, default=5, help="of load each time (default 5)")
    parser.add_argument(
        "--quick", action="store_true", help="one round of one second: does it run?"
    )
    parser.add_argument(
        "--peers",
        action="store_true",
        help="also measure other servers, in environments of their own",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement to FILE")
    return parser.parse_args()


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(text.split(","))
    if not set(parts) <= set(PARTS):
        raise argparse.ArgumentTypeError(f"choose of {', '.join(PARTS)}")
    return parts


if __name__ == "__main__":
    raise SystemExit(main())
