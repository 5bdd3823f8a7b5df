"""A small runner of GitHub workflows: the very `run` lines of a workflow file, in bash, as a hosted runner starts them.

`uses` steps are left out. Expressions are filled in from what a test gives and what earlier steps put out; one
that nobody gave is an error.
"""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from tests.support import child_process
from tests.support.child_process import Finished, run
from tests.support.paths import ROOT

TIMEOUT = 250.0  # seconds that a step may take
WORKFLOWS = ROOT / ".github" / "workflows"
_INHERITED = ("LANG", "TMPDIR", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")


@dataclass(frozen=True)
class Step:
    """A step that runs a command: in which workflow and job, and what it is called."""

    workflow: str
    job: str
    name: str
    command: str = field(repr=False)
    variables: Mapping[str, str] = field(repr=False)
    id: str | None = field(repr=False, default=None)


def workflow(name: str) -> dict[str, Any]:
    """A workflow, parsed; its triggers are under `on`."""
    loaded: dict[Any, Any] = yaml.safe_load((WORKFLOWS / f"{name}.yml").read_text())
    return {
        "on" if key is True else key: value for key, value in loaded.items()
    }  # YAML 1.1 reads on as true


def names() -> list[str]:
    """Every workflow."""
    return sorted(path.stem for path in WORKFLOWS.glob("*.yml"))


def steps(name: str) -> list[Step]:
    """Every step of a workflow that runs a command."""
    parsed = workflow(name)
    return [
        Step(
            workflow=name,
            job=job_name,
            name=step["name"],
            command=step["run"],
            variables={**parsed.get("env", {}), **job.get("env", {}), **step.get("env", {})},
            id=step.get("id"),
        )
        for job_name, job in parsed["jobs"].items()
        for step in job.get("steps", ())
        if "run" in step
    ]


class Runner:
    """Runs the steps of a workflow. `given` fills in expressions; `variables` overrule the workflow's own."""

    def __init__(self, folder: Path, given: Mapping[str, str], **variables: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.summary = folder / "summary"
        self.given = dict(given)
        self._variables = variables
        self._outputs: dict[tuple[str, str], dict[str, str]] = {}

    def run(self, step: Step) -> Finished:
        """Run a step, and keep what it puts out."""
        output = self.folder / "output"
        output.write_text("")
        own = {name: self.filled(step, str(value)) for name, value in step.variables.items()}
        runners = {
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "RUNNER_TEMP": str(self.folder),
        }
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        done = run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step.command],
            cwd=ROOT,
            timeout=TIMEOUT,
            env={
                **inherited,
                "PATH": path,
                "HOME": str(self.folder),
                **own,
                **runners,
                **self._forking(),
                **self._variables,
            },
        )
        put_out = (line.partition("=") for line in output.read_text().splitlines())
        self._outputs[step.job, step.id or step.name] = {name: value for name, _, value in put_out}
        return done

    def _forking(self) -> dict[str, str]:
        """Returns what makes bash fork Windlass from a server that has imported it; nothing in CI."""
        if child_process.fork_server is None:
            return {}
        functions = self.folder / "functions.sh"
        functions.write_text(child_process.fork_server.shell_functions(), encoding="utf-8")
        return {"BASH_ENV": str(functions)}

    def filled(self, step: Step, text: str) -> str:
        """A text with its expressions filled in."""
        return _EXPRESSION.sub(lambda match: self._value(step, match[1]), text)

    def _value(self, step: Step, expression: str) -> str:
        """The first of the alternatives that is not empty."""
        for part in (part.strip() for part in expression.split("||")):
            value = self._looked_up(step, part)
            if value:
                return value
        return ""

    def _looked_up(self, step: Step, name: str) -> str:
        if name in self.given:
            return self.given[name]
        words = name.split(".")
        if words[0] == "steps":
            return self._outputs[step.job, words[1]][words[3]]
        if words[0] == "needs":
            output = workflow(step.workflow)["jobs"][words[1]]["outputs"][words[3]]
            there = Step(step.workflow, words[1], "", "", {})
            return self.filled(there, output)
        raise KeyError(f"{step} asks for {name}, which no test gives")
