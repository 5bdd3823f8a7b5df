"""Compares features with the notebook they replace, and with Feast: `make bench`, or `python -m benchmarks.features`.

All parts are measured in one run. With --large, 20 million loans are generated and built, which takes minutes.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.feast_peer import feast
from benchmarks.feature_store import Subject, join, materialising, prepared, reading
from benchmarks.feature_work import history, large
from benchmarks.machine import BenchmarkError, describe
from benchmarks.report import Verdict, number, table, targets

PARTS = ("history", "read", "materialise", "join")


def main() -> int:
    """Measures what the command line selects. Returns 1 if that fails."""
    options = _arguments()
    rounds = 1 if options.quick else options.rounds
    try:
        with tempfile.TemporaryDirectory(prefix="windlass-bench-", dir=options.work) as work:
            print(_measured(options, rounds, Path(work)))
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _measured(options: argparse.Namespace, rounds: int, work: Path) -> str:
    subject = prepared(work, quick=options.quick)
    verdicts: list[Verdict] = []
    parts: dict[str, Callable[[Subject, int], list[Verdict]]] = {
        "history": history,
        "read": reading,
        "materialise": materialising,
        "join": join,
    }
    for name in options.only:
        print(f"… {name}", file=sys.stderr, flush=True)
        verdicts += parts[name](subject, rounds)
    if options.large:
        print("… 20 million loans", file=sys.stderr, flush=True)
        verdicts += large(work)
    machine = describe()
    head = (
        f"Features of {subject.loans:,} loans of {subject.clients:,} clients ({subject.origin}), measured on"
        f" {machine['processor']}. Every figure is the median of its rounds."
    )
    pieces = [head, targets(verdicts)]
    if options.peers:
        rows = [[what, number(seconds * 1e6)] for what, seconds in feast(subject).items()]
        pieces.append(table(["Feast on SQLite", "median, µs"], rows))
    return "\n\n".join(pieces)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.features", description=__doc__)
    parser.add_argument(
        "--only", type=_parts, default=PARTS, help=f"of {','.join(PARTS)}; all by default"
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns of every part (default 3)")
    parser.add_argument("--quick", action="store_true", help="one round, few rows: does it run?")
    parser.add_argument("--large", action="store_true", help="also build 20 million loans")
    parser.add_argument("--peers", action="store_true", help="also measure Feast")
    parser.add_argument("--work", type=Path, help="a folder with room for all of it")
    return parser.parse_args()


def _parts(text: str) -> Sequence[str]:
    parts = tuple(text.split(","))
    if not set(parts) <= set(PARTS):
        raise argparse.ArgumentTypeError(f"choose of {', '.join(PARTS)}")
    return parts


if __name__ == "__main__":
    raise SystemExit(main())
