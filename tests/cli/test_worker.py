import signal
from pathlib import Path

import pytest
from tests.support.child_process import WINDLASS, run
from tests.support.job_workers import TIMEOUT, Bench
from tests.support.server import environment
from tests.support.waiting import wait_until


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_works_until_it_is_stopped_and_logs_json(bench: Bench, number: int) -> None:
    project = bench.project()
    worker = bench.worker(project)
    job = bench.submit(project)
    bench.done(job)
    worker.process.signal(number)
    assert worker.process.wait(TIMEOUT) == 0
    output = {line["event"]: line for line in worker.lines()}
    assert output["worker ready"]["projects"] == ["unruly"]
    assert output["job begins"]["job"] == job.id
    assert output["job ended"]["state"] == "succeeded"
    assert "worker stopped" in output


def test_a_folder_without_a_project_is_one_line(tmp_path: Path) -> None:
    ended = run([WINDLASS, "worker", tmp_path], env=environment(tmp_path / "home"))
    assert ended.code == 1
    assert "No project.py" in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err


def test_a_second_stop_does_no_harm(bench: Bench) -> None:
    project = bench.project()
    worker = bench.worker(project)
    bench.submit(project, "wait")
    project.trainer()
    for _ in range(2):
        worker.process.signal(signal.SIGTERM)
    assert worker.process.wait(TIMEOUT) == 0
    wait_until(lambda: bench.queue.workers() == [], "an empty table of workers")
