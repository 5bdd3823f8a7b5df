"""Compares latency while versions change with that of the same server without changes: `python -m benchmarks.swap`.

The server runs on one core, load and decisions on another. Each turn measures without swaps, then with them.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks import measure
from benchmarks.load import Load, require_wrk, wrk
from benchmarks.machine import BenchmarkError, Server, running, split_cores
from benchmarks.versions import Versions

PROMISED = 3.0  # target: p99 while versions change, divided by p99 before
TWO, NEW = "back and forth between two", "to one that is not loaded"


@dataclass(frozen=True)
class Case:
    """A case: the bundle, the number of swaps, the seconds between them, and the connections."""

    model: str
    scenario: str
    connections: int
    swaps: int
    every: float


@dataclass(frozen=True)
class Turn:
    """One comparison. `late` has the seconds from each decision until the server had switched."""

    case: Case
    before: Load
    during: Load
    late: Sequence[float]


def main() -> int:
    """Measures what the command line selects. Returns 1 if a server failed or lost a request."""
    arguments = _arguments()
    turns: list[Turn] = []
    try:
        require_wrk()
        core, _ = split_cores()
        with tempfile.TemporaryDirectory(prefix="windlass-bench-") as work:
            plan = measure.Plan(1 if arguments.quick else arguments.rounds, 0, Path(work), core)
            for case in _cases(arguments.models.split(","), 4 if arguments.quick else 20):
                turns += _turns(case, plan)
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(_markdown(turns))
    return 0


def _cases(models: Sequence[str], swaps: int) -> list[Case]:
    return [
        Case(model, scenario, connections, swaps, every=1.0)
        for model in models
        for connections in (32, 1)
        for scenario in (TWO, NEW)
    ]


def _turns(case: Case, plan: measure.Plan) -> Iterator[Turn]:
    bundle = plan.work / f"{case.model}-bundle"
    if not bundle.exists():
        measure.models(plan, [case.model])
    plan = replace(plan, seconds=case.swaps * case.every)
    for turn in range(plan.rounds):
        print(f"… {case}, round {turn + 1}", file=sys.stderr, flush=True)
        home = plan.work / f"{case.model}-{case.scenario}-{case.connections}-{turn}"
        with Versions(home, bundle, 2 if case.scenario == TWO else 5) as versions:
            yield _turn(case, plan, versions)


def _turn(case: Case, plan: measure.Plan, versions: Versions) -> Turn:
    """Measures one turn. wrk raises an error for any failed request, so a result means zero failures."""
    with running(_server(versions), plan.core, versions.log) as up:
        wrk(up, case.connections, 1)  # warm-up
        before = wrk(up, case.connections, plan.seconds)
        with versions.swapping(case.every):
            during = wrk(up, case.connections, plan.seconds)
        late = [line["seconds_after_decision"] for line in versions.switches()]
    if len(late) < case.swaps:
        raise BenchmarkError(f"The server switched {len(late)} times, not {case.swaps}.")
    return Turn(case, before, during, late)


def _server(versions: Versions) -> Server:
    windlass = str(Path(sys.executable).with_name("windlass"))
    return Server(
        "Windlass",
        (windlass, "serve", versions.project, "--host", "127.0.0.1", "--port", "{port}"),
        json.dumps(measure.FLOWER),
        ready="/readyz",
        environment={"WINDLASS_HOME": str(versions.home), "WINDLASS_LOG_LEVEL": "INFO"},
        folder=versions.home,
    )


def _markdown(turns: Sequence[Turn]) -> str:
    lines = [
        "| model | versions change | clients | p50 before | during | p99 before | during | ratio | latest |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case in dict.fromkeys(turn.case for turn in turns):
        mine = [turn for turn in turns if turn.case == case]
        figures = [
            median(turn.before.p50 for turn in mine),
            median(turn.during.p50 for turn in mine),
            median(turn.before.p99 for turn in mine),
            median(turn.during.p99 for turn in mine),
        ]
        ratio = median(turn.during.p99 / turn.before.p99 for turn in mine)
        late = max(max(turn.late) for turn in mine)
        cells = [f"{figure:.2f} ms" for figure in figures]
        kept = "" if ratio <= PROMISED else f" (**not met**: ≤ {PROMISED:g} is promised)"
        lines.append(
            f"| {case.model} | {case.scenario} | {case.connections} | {' | '.join(cells)}"
            f" | {ratio:.2f}{kept} | {late:.2f} s |"
        )
    lines.append(
        f"\n{turns[0].case.swaps} swaps a turn, and no request failed. `latest`: from a decision to the switch."
    )
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.swap", description=__doc__)
    parser.add_argument("--models", default="logreg,rf", help="candidates of the Iris example")
    parser.add_argument("--rounds", type=int, default=3, help="turns of every case (default 3)")
    parser.add_argument("--quick", action="store_true", help="one round of 4 swaps: does it run?")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
