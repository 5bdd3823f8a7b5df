"""`windlass train` as its own worker: the version it makes, and what happens where it cannot, or is stopped."""

import json
import signal
import sys
from pathlib import Path

import pytest
from tests.support import child_process
from tests.support.child_process import WINDLASS, ChildProcess
from tests.support.cli import run_cli
from tests.support.job_workers import Bench, UnrulyProject, WorkerProcess
from tests.support.server import environment
from tests.support.signing_keys import write_keys
from tests.support.waiting import wait_until

from windlass.core.bundle import Bundle
from windlass.core.bundle_signature import verify_signature
from windlass.jobs.job import JobState
from windlass.registry.version import Stage
from windlass.workflows.project_lookup import current_user


def start(bench: Bench, project: UnrulyProject, *options: str) -> ChildProcess:
    """`windlass train` in a process of its own."""
    command = [WINDLASS, "train", project.folder, "--no-track", *options]
    return ChildProcess(command, env=environment(bench.settings.home))


def run(
    bench: Bench, project: UnrulyProject, *options: str, **variables: str
) -> tuple[int, str, str]:
    """Exit code, output and errors of `windlass train` in this process."""
    command = ["train", project.folder, "--no-track", *options]
    ended = run_cli(*command, home=bench.settings.home, **variables)
    return ended.code, ended.out, ended.err


def test_it_makes_a_version_and_leaves_the_bundle_in_the_project(
    bench: Bench, tmp_path: Path
) -> None:
    project, keys = bench.project(), write_keys(tmp_path / "keys")
    code, out, err = run(bench, project, "--json", WINDLASS_SIGNING_KEY=str(keys.private))
    assert (code, err) == (0, "")
    output = json.loads(out)
    (version,) = bench.versions(project)
    bundle = Bundle.open(project.folder / "artifacts")
    assert (output["version"], output["stage"]) == ("v1", "production")
    assert output["digest"] == version.digest == bundle.digest
    assert output["bundle"] == bundle.version
    assert output["artifacts"] == str(project.folder / "artifacts")
    for signed in (bundle, bench.registry.fetch(version)):
        verify_signature(signed, keys.public)
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
        (["--data", "rows.csv"], "There is no"),
        (["--artifacts", "/proc/nowhere"], "Choose another folder"),
    ],
)
def test_an_invalid_training_is_refused_before_a_job_is_submitted(
    bench: Bench, options: list[str], reason: str
) -> None:
    code, _, err = run(bench, bench.project(), *options)
    assert code == 1
    assert reason in err
    assert bench.queue.list() == []


def test_a_gate_on_an_unmeasured_metric_is_refused_before_a_job_is_submitted(bench: Bench) -> None:
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
    with start(bench, project) as process:
        wait_until(lambda: len(bench.queue.list()) == 2, "a second job")
        assert process.read_error() == f"  0% Waiting: ada trains unruly in job {first.id}"
        project.go()
        assert "v2 (production)" in process.finish(timeout=90).check()
    assert bench.done(first)["version"] == "v1"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_stop_cancels(bench: Bench, number: int) -> None:
    project = bench.project()
    with start(bench, project, "--deed", "wait") as process:
        project.trainer()
        process.signal(number)
        ended = process.finish(timeout=90)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.splitlines()[-1] == "windlass: Interrupted."
    (job,) = bench.queue.list()
    assert job.state is JobState.CANCELLED
    assert bench.registry.declarations() == [], "nothing was registered"
    assert sorted(file.name for file in project.folder.iterdir() if file.name[0] == ".") == []


def test_a_cancel_by_somebody_else_says_so(bench: Bench) -> None:
    project = bench.project()
    with start(bench, project, "--deed", "wait") as process:
        project.trainer()
        (job,) = bench.queue.list()
        bench.queue.cancel(job.id)
        ended = process.finish(timeout=90)
    assert ended.code == 1
    assert ended.err.splitlines()[-1] == f"windlass: Job {job.id} was cancelled by somebody else."


def test_a_command_that_is_killed_leaves_its_job_to_a_worker(bench: Bench) -> None:
    project = bench.project()
    with start(bench, project, "--deed", "wait") as process:
        project.trainer()
        (job,) = bench.queue.list()
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
    command = [sys.executable, script, "--no-track", "--json"]
    home = environment(bench.folder / "other")
    ended = child_process.run(command, cwd=project.folder, env=home, warm=True, timeout=90)
    output = json.loads(ended.check())
    bundle = Bundle.open(project.folder / "artifacts")
    assert (output["version"], output["stage"], output["job_id"]) == (bundle.version, None, None)
    assert not (bench.folder / "other").exists()


def test_train_pipeline_and_worker_take_the_name_of_a_registered_project(bench: Bench) -> None:
    project = bench.project("registered")
    home = bench.settings.home
    ended = run_cli("train", "registered", "--no-track", home=home)
    assert (ended.code, ended.out) == (1, ""), "nobody has declared it yet"
    assert "No project.py" in ended.err
    assert run_cli("train", project.folder, "--no-track", home=home).code == 0

    ended = run_cli("train", "registered", "--no-track", "--json", home=home)
    assert ended.code == 0, ended.err
    assert ended.json()["artifacts"] == str(project.folder / "artifacts")
    assert "--deed" in run_cli("train", "registered", "--help", home=home).out
    ended = run_cli("pipeline", "registered", "--no-track", home=home)
    assert ended.code == 0, ended.err
    log = bench.folder / "by-name.log"
    worker = WorkerProcess(home, log, Path("registered"), **bench.variables)
    bench.started.append(worker)
    job = bench.submit(project)
    assert bench.done(job)["version"] == "v4"
    (ready,) = worker.lines("worker ready")
    assert ready["projects"] == ["registered"]
