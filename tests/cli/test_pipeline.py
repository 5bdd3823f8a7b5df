"""`windlass pipeline`: a candidate or a reason, and a next run that goes on where a killed one was."""

import json
import os
import pty
import signal
import time

from tests.support.child_process import WINDLASS, ChildProcess
from tests.support.cli import run_cli
from tests.support.job_workers import Bench, is_alive
from tests.support.lending_project import LendingProject
from tests.support.server import environment
from tests.support.waiting import wait_until

from windlass.jobs.job import JobState
from windlass.registry.version import Stage


def start(bench: Bench, lending: LendingProject, *options: object) -> ChildProcess:
    """`windlass pipeline` in a process of its own."""
    command = [WINDLASS, "pipeline", lending.folder, "--no-track", *options]
    return ChildProcess(command, env=environment(bench.settings.home))


def run(bench: Bench, lending: LendingProject, *options: object) -> tuple[int, str, str]:
    """Exit code, output and errors of `windlass pipeline` in this process."""
    ended = run_cli("pipeline", lending.folder, "--no-track", *options, home=bench.settings.home)
    return ended.code, ended.out, ended.err


def test_gates_that_do_not_pass_refuse_it(bench: Bench, lending: LendingProject) -> None:
    lending.change("at_least=0.6", "at_least=0.999")
    code, out, err = run(bench, lending, "--json")
    assert code == 1
    assert err.count("\n") == 1
    assert "lending v1 did not pass: roc_auc >= 0.999." in err
    output = json.loads(out)
    assert (output["stage"], output["features"]["snapshot"]) == ("candidate", 1)


def test_there_is_nothing_to_build_without_a_view_and_nothing_to_append_without_a_file(
    bench: Bench, lending: LendingProject
) -> None:
    unruly = LendingProject(bench.project().folder)
    code, _, err = run(bench, unruly, "--engine", "duckdb")
    assert (code, err.count("\n")) == (1, 1)
    assert "declares no feature view" in err
    assert run(bench, lending, "--append")[0] == 2
    assert bench.queue.list() == []


def killed(bench: Bench, lending: LendingProject, deed: str) -> None:
    """Run the pipeline as far as this deed, and kill it there."""
    lending.hold(deed)
    with start(bench, lending) as process:
        child = lending.process(deed)
        process.kill()
    wait_until(lambda: not is_alive(child), "the end of a process whose worker died")
    lending.forget()
    lending.release(deed)


def test_the_next_run_goes_on_where_a_killed_one_was(bench: Bench, lending: LendingProject) -> None:
    killed(bench, lending, "trained")
    code, out, err = run(bench, lending)
    assert code == 0, err
    assert not lending.has_begun("built"), "a finished step is not done again"
    assert 'v1 waits for a decision: windlass approve lending v1 --reason "…"' in out
    assert "100% Done" in err
    (version,) = bench.registry.versions("lending")
    (job,) = bench.queue.list("lending")
    assert (job.kind, job.state, job.attempts) == ("pipeline", JobState.SUCCEEDED, 2)
    assert (version.job_id, version.stage) == (job.id, Stage.CANDIDATE)
    assert bench.leftovers() == []


def test_another_request_is_another_job_and_a_worker_takes_over_the_one_left(
    bench: Bench, lending: LendingProject
) -> None:
    killed(bench, lending, "built")
    bad = lending.raw("bad.csv", "1,1,2020-01-01,-5,1980-01-01,0")
    code, out, err = run(bench, lending, "--data", bad, "--json")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "break the contract" in err
    assert bench.registry.versions("lending") == []
    left, ended = sorted(bench.queue.list("lending"), key=lambda job: job.created_at)
    assert (left.state, ended.state) == (JobState.QUEUED, JobState.FAILED)
    bench.worker()
    assert bench.done(left)["version"] == "v1"


def test_ctrl_c_cancels_it(bench: Bench, lending: LendingProject) -> None:
    lending.hold("built")
    with start(bench, lending) as process:
        child = lending.process("built")
        process.signal(signal.SIGINT)
        ended = process.finish(timeout=90)
    assert (ended.code, ended.err.splitlines()[-1]) == (1, "windlass: Interrupted.")
    (job,) = bench.queue.list("lending")
    assert job.state is JobState.CANCELLED
    wait_until(lambda: not is_alive(child), "the end of the step")


def test_a_terminal_shows_every_step(bench: Bench, lending: LendingProject) -> None:
    lending.hold("built")
    ours, theirs = pty.openpty()
    variables = environment(bench.settings.home, TERM="xterm", COLUMNS="120")
    command = [WINDLASS, "pipeline", lending.folder, "--no-track"]
    with ChildProcess(command, stderr=theirs, env=variables):
        os.close(theirs)
        screen, deadline = b"", time.monotonic() + 90
        while b"training and gates" not in screen and time.monotonic() < deadline:
            screen += os.read(ours, 4096)
        for step in (b"quality and features", b"online store", b"training and gates"):
            assert step in screen
    os.close(ours)
