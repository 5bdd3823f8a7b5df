"""`windlass train` as its own worker: the version it makes, and what happens where it cannot, or is stopped."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.child_process import WINDLASS
from tests.support.cli import run_cli
from tests.support.job_workers import Bench, UnrulyProject
from tests.support.server import environment
from tests.support.waiting import wait_until

from windlass.cli.context import current_user
from windlass.core.bundle import Bundle
from windlass.jobs.job import JobState
from windlass.registry.version import Stage


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    created = Bench(tmp_path)
    yield created
    created.close()


def start(bench: Bench, project: UnrulyProject, *options: str) -> subprocess.Popen[str]:
    """`windlass train` in a process of its own."""
    return subprocess.Popen(
        [str(WINDLASS), "train", str(project.folder), "--no-track", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(bench.settings.home),
    )


def run(bench: Bench, project: UnrulyProject, *options: str) -> tuple[int, str, str]:
    """Exit code, output and errors of `windlass train` in this process."""
    ended = run_cli("train", project.folder, "--no-track", *options, home=bench.settings.home)
    return ended.code, ended.out, ended.err


def test_it_makes_a_version_and_leaves_the_bundle_in_the_project(bench: Bench) -> None:
    project = bench.project()
    code, out, err = run(bench, project, "--json")
    assert (code, err) == (0, "")
    output = json.loads(out)
    (version,) = bench.versions(project)
    bundle = Bundle.open(project.folder / "artifacts")
    assert (output["version"], output["stage"]) == ("v1", "production")
    assert output["digest"] == version.digest == bundle.digest
    assert output["bundle"] == bundle.version
    assert output["artifacts"] == str(project.folder / "artifacts")
    assert version.trained_by == current_user()
    job = bench.queue.get(output["job_id"])
    assert (job.state, job.project, version.job_id) == (JobState.SUCCEEDED, "unruly", job.id)
    assert bench.queue.workers() == []
    assert bench.leftovers() == []
    code, out, _ = run(bench, project, "--C", "2")
    assert code == 0
    assert out.startswith("version          v2 (production)\n")
    assert Bundle.open(project.folder / "artifacts").digest == bench.versions(project)[1].digest
    assert sorted(file.name for file in project.folder.iterdir() if file.name[0] == ".") == []


def test_it_says_what_a_candidate_waits_for(bench: Bench) -> None:
    project = bench.project()
    file = project.folder / "project.py"
    file.write_text(file.read_text().replace('policy="automatic"', 'policy="manual"'))
    code, out, _ = run(bench, project)
    assert code == 0
    assert "v1 (candidate)" in out
    assert 'v1 waits for a decision: windlass approve unruly v1 --reason "…"' in out
    assert bench.versions(project)[0].stage is Stage.CANDIDATE


@pytest.mark.parametrize(
    ("deed", "reason"), [("raise", "the moon is in the wrong house"), ("leave", "last words")]
)
def test_a_training_that_fails_is_one_line(bench: Bench, deed: str, reason: str) -> None:
    project = bench.project()
    code, out, err = run(bench, project, "--deed", deed)
    (line,) = [line for line in err.splitlines() if line.startswith("windlass: ")]
    assert (code, out) == (1, "")
    assert reason in line
    (job,) = bench.queue.list()
    assert job.state is JobState.FAILED
    assert line == f"windlass: {job.error}"
    assert not (project.folder / "artifacts").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--C", "0"], "greater than 0"),
        (["--seed", "-1"], "Seed -1"),
        (["--data", "rows.csv"], "takes no data file"),
        (["--artifacts", "/proc/nowhere"], "Choose another folder"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_it_is_asked_for(
    bench: Bench, options: list[str], reason: str
) -> None:
    code, _, err = run(bench, bench.project(), *options)
    assert code == 1
    assert reason in err
    assert bench.queue.list() == []


def test_a_gate_on_what_is_not_measured_is_refused_before_it_is_asked_for(bench: Bench) -> None:
    project = bench.project()
    project.break_gate()
    code, out, err = run(bench, project, "--deed", "raise")
    (line,) = err.splitlines()
    assert (code, out) == (1, "")
    assert "'acuracy', which is not measured. There are: accuracy" in line
    assert bench.queue.list() == []


def test_a_project_that_cannot_be_written_keeps_its_bundle_in_the_registry(bench: Bench) -> None:
    project = bench.project()
    (project.folder / "artifacts").write_text("mine")
    code, out, err = run(bench, project, "--json")
    assert code == 0
    assert "warning: the registry alone keeps the bundle" in err
    assert json.loads(out)["artifacts"] is None
    assert (project.folder / "artifacts").read_text() == "mine"
    assert len(bench.versions(project)) == 1


def test_it_waits_for_another_training_of_the_project(bench: Bench) -> None:
    project = bench.project()
    bench.worker(project)
    first = bench.submit(project, "wait")
    project.trainer()
    process = start(bench, project)
    wait_until(lambda: len(bench.queue.list()) == 2, "a second job")
    assert process.stderr is not None
    assert process.stderr.readline() == (f"  0% Waiting: ada trains unruly in job {first.id}\n")
    project.go()
    out, _ = process.communicate(timeout=90)
    assert process.returncode == 0
    assert "v2 (production)" in out
    assert bench.done(first)["version"] == "v1"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_stop_cancels(bench: Bench, number: int) -> None:
    project = bench.project()
    process = start(bench, project, "--deed", "wait")
    project.trainer()
    process.send_signal(number)
    out, err = process.communicate(timeout=90)
    assert (process.returncode, out) == (1, "")
    assert err.splitlines()[-1] == "windlass: Interrupted."
    (job,) = bench.queue.list()
    assert job.state is JobState.CANCELLED
    assert bench.registry.declarations() == [], "nothing was registered"
    assert sorted(file.name for file in project.folder.iterdir() if file.name[0] == ".") == []


def test_whoever_cancels_is_told_apart(bench: Bench) -> None:
    project = bench.project()
    process = start(bench, project, "--deed", "wait")
    project.trainer()
    (job,) = bench.queue.list()
    bench.queue.cancel(job.id)
    _, err = process.communicate(timeout=90)
    assert process.returncode == 1
    assert err.splitlines()[-1] == f"windlass: Job {job.id} was cancelled by somebody else."


def test_a_command_that_is_killed_leaves_its_job_to_a_worker(bench: Bench) -> None:
    project = bench.project()
    process = start(bench, project, "--deed", "wait")
    project.trainer()
    (job,) = bench.queue.list()
    with process:
        process.kill()
    project.go()
    bench.worker(project)
    assert bench.done(job)["version"] == "v1"
    assert len(bench.versions(project)) == 1


def test_an_experiment_needs_no_registry(bench: Bench) -> None:
    project = bench.project()
    script = project.folder / "train.py"
    script.write_text(
        "import windlass\nfrom project import project\nwindlass.train_command(project)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), "--no-track", "--json"],
        capture_output=True,
        text=True,
        cwd=project.folder,
        env=environment(bench.folder / "other") | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    output = json.loads(done.stdout)
    bundle = Bundle.open(project.folder / "artifacts")
    assert (output["version"], output["stage"], output["job_id"]) == (bundle.version, None, None)
    assert not (bench.folder / "other").exists()
