"""Promises of ours that the queues of DBOS do not hold, shown on DBOS itself (decision 11).

A failure here is good news: this DBOS may hold one, so look again at what we do in its place.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dbos import DBOSClient
from tests.support.child_process import ChildProcess, python_command
from tests.support.waiting import wait_until

# a worker: it listens to queue `q`, and logs when it begins and ends a job
_WORKER = """
import json, sys, time
from dbos import DBOS

url, worker, version, options, log = sys.argv[1:]

def write(*event):
    with open(log, "a") as file:
        file.write(json.dumps([time.time(), worker, *event]) + "\\n")

DBOS(config={"name": "windlass", "system_database_url": url, "executor_id": worker,
             "application_version": version, "log_level": "CRITICAL", "use_listen_notify": False})

@DBOS.workflow(name="job")
def job(job_id, seconds):
    write("begin", job_id)
    try:
        DBOS.run_step({"name": "sleep"}, lambda: time.sleep(seconds))
    finally:
        write("end", job_id)

DBOS.listen_queues(["q"])
DBOS.launch()
DBOS.register_queue("q", polling_interval_sec=0.02, **json.loads(options))
write("ready")
sys.stdin.read()
DBOS.destroy()
"""


@dataclass
class Queue:
    """One queue of DBOS, worker processes that listen to it, and what they logged."""

    url: str
    log: Path
    options: dict[str, int]
    processes: list[ChildProcess]

    def start(self, *versions: str) -> None:
        """Start a worker of each of these application versions."""
        for number, version in enumerate(versions):
            arguments = [self.url, f"w{number}", version, json.dumps(self.options), self.log]
            self.processes.append(ChildProcess(python_command(_WORKER, *arguments), warm=True))
        wait_until(lambda: len(self.events("ready")) == len(versions), "workers", 60)

    def events(self, *names: str) -> list[list[Any]]:
        """What happened, in its order: time, worker, event, job."""
        if not self.log.exists():
            return []
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return sorted(line for line in lines if line[2] in names)

    def overlaps(self) -> int:
        """How many jobs began while another one ran."""
        running, overlaps = set(), 0
        for _, _, name, job in self.events("begin", "end"):
            if name == "end":
                running.discard(job)
            else:
                overlaps += bool(running)
                running.add(job)
        return overlaps

    def close(self) -> None:
        """End the workers."""
        for process in self.processes:
            process.kill()


Start = Callable[..., Queue]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Queue] = []

    def make(options: dict[str, int], *versions: str) -> Queue:
        queue = Queue(f"sqlite:///{tmp_path / 'jobs.db'}", tmp_path / "log", options, [])
        started.append(queue)
        queue.start(*versions)
        return queue

    yield make
    for queue in started:
        queue.close()


def client(queue: Queue) -> DBOSClient:
    return DBOSClient(system_database_url=queue.url, application_name="windlass")


def enqueue(queue: DBOSClient, job: str, seconds: float, version: str, **options: str) -> None:
    names = {"workflow_name": "job", "queue_name": "q", "workflow_id": job, "app_version": version}
    queue.enqueue({**names, **options}, job, seconds)  # type: ignore[typeddict-item]


def wait_for_overlap(queue: Queue, jobs: int) -> None:
    wait_until(
        lambda: queue.overlaps() > 0 or len(queue.events("end")) == jobs,
        "an overlap or the end",
        60,
    )


def test_global_concurrency_of_one_lets_two_run_on_sqlite(start: Start) -> None:
    queue = start({"global_concurrency": 1}, *["1"] * 3)
    with_client, jobs = client(queue), 90
    for number in range(jobs):
        enqueue(with_client, f"j{number:03}", 0.02, "1")
    wait_for_overlap(queue, jobs)
    assert queue.overlaps() > 0, "DBOS holds it now: partitions may be needless"


def test_partition_concurrency_of_one_lets_two_versions_run_at_once(start: Start) -> None:
    queue = start({"partition_concurrency": 1}, "1", "2", "3")
    with_client, jobs = client(queue), 90
    for number in range(jobs):
        version = str(1 + number % 3)
        enqueue(with_client, f"j{number:03}", 0.02, version, queue_partition_key="p")
    wait_for_overlap(queue, jobs)
    assert queue.overlaps() > 0, "DBOS holds it now: the unique index may be needless"


def test_a_cancelled_job_frees_its_slot_while_its_step_still_runs(start: Start) -> None:
    queue = start({"partition_concurrency": 1}, "1")
    with_client = client(queue)
    enqueue(with_client, "first", 300.0, "1", queue_partition_key="p")
    enqueue(with_client, "second", 0.0, "1", queue_partition_key="p")
    wait_until(lambda: queue.events("begin") != [], "the first")
    with_client.cancel_workflow("first")
    wait_until(lambda: len(queue.events("begin")) == 2, "the second")
    assert queue.overlaps() == 1, "DBOS holds it now: our cancel flag may be needless"
