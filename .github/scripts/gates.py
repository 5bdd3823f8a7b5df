"""Checks the gates of a training: `gates.py TRAINING.json`. Returns 1 if a gate failed.

The file is the output of `windlass train --json`. The outputs of the step are `version`, and `snapshot`, which the
version was trained on. The run's summary gets what reviewers should read before they approve.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any


def main(file: Path) -> int:
    """Writes the summary and the outputs of the step, and returns the exit code."""
    training: dict[str, Any] = json.loads(file.read_text())
    failed = [gate["rule"] for gate in training["gates"] if _verdict(gate) == "failed"]
    with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a") as summary:
        summary.write(_summary(training))
    if failed:
        name = f"{training['project']} {training['version']}"
        print(
            f"gates: {name} did not pass {'; '.join(failed)}. It cannot be approved.",
            file=sys.stderr,
        )
        return 1
    with Path(os.environ["GITHUB_OUTPUT"]).open("a") as output:
        output.write(f"version={training['version']}\nsnapshot={training['params']['snapshot']}\n")
    return 0


def _verdict(gate: dict[str, Any]) -> str:
    """Returns passed, undecided or failed. An undecided gate stops automatic approval; a person may still approve."""
    if gate["passed"]:
        return "passed"
    return "undecided" if gate["undecided"] else "failed"


def _summary(training: dict[str, Any]) -> str:
    lines = [
        f"## {training['project']} {training['version']} ({training['params']['model']})",
        f"Bundle `{training['digest']}`, data `{training['data_digest']}`.",
        "",
        "| gate | value | verdict |",
        "|---|---|---|",
        *(f"| {gate['rule']} | {gate['value']} | {_verdict(gate)} |" for gate in training["gates"]),
        "",
        "| metric | value |",
        "|---|---|",
        *(f"| {name} | {value:.6g} |" for name, value in training["metrics"].items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
