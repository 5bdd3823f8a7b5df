"""A job queue, worker processes and unruly projects, for tests of jobs that are really executed."""

import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text, update
from tests.support.child_process import WINDLASS, ChildProcess
from tests.support.paths import project_folder
from tests.support.server import environment, logged
from tests.support.waiting import wait_until

from windlass.jobs.job import Job, JobState
from windlass.jobs.queue import JobQueue, JobRequest, ProjectBusyError, read_open_jobs
from windlass.jobs.workers import DEAD_SECONDS
from windlass.registry.registry import Registry
from windlass.registry.version import Version
from windlass.settings import Settings
from windlass.storage.database import Database
from windlass.storage.db_tables import jobs, workers

TIMEOUT = 90.0  # seconds until a test gives a job up; machines that test are busy
UNRULY = project_folder("unruly")


@dataclass(frozen=True)
class UnrulyProject:
    """A copy of the unruly project; its name is that of its folder."""

    folder: Path

    @property
    def name(self) -> str:
        """The project's name."""
        return self.folder.name

    def has_begun(self) -> bool:
        """Whether a training has begun since the last `forget`."""
        return (self.folder / "began").exists()

    def trainer(self) -> int:
        """The number of the process that trains, or trained last."""
        file = self.folder / "began"
        wait_until(lambda: self.has_begun() and file.read_text(), "a training", TIMEOUT)
        return int(file.read_text())

    def forget(self) -> None:
        """Forget that a training has begun."""
        (self.folder / "began").unlink(missing_ok=True)

    def go(self) -> None:
        """Let the trainings that wait go on."""
        (self.folder / "go").touch()

    def break_gate(self) -> None:
        """Have the project's gate ask for a metric that is not measured."""
        file = self.folder / "project.py"
        file.write_text(file.read_text().replace('Gate("accuracy"', 'Gate("acuracy"'))


class WorkerProcess:
    """`windlass worker`, and what it logs."""

    def __init__(self, home: Path, log: Path, *folders: Path, **variables: str) -> None:
        self.log = log
        command = [WINDLASS, "worker", *folders]
        self.process = ChildProcess(command, env=environment(home, **variables), log=log)

    def wait_ready(self) -> "WorkerProcess":
        """Return once it takes jobs."""
        self.process.wait_for_log("worker ready", TIMEOUT)
        return self

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()

    def suspend(self, settings: Settings) -> None:
        """Stop it in its tracks, as a paused machine is, but not while it keeps others from their database."""
        wait_until(lambda: self._is_suspended(settings), "a worker that holds no lock", TIMEOUT)

    def _is_suspended(self, settings: Settings) -> bool:
        self.process.signal(signal.SIGSTOP)
        wait_until(lambda: _is_stopped(self.process.pid), "a stop of every thread", TIMEOUT)
        files = [file for file in settings.home.glob("*.db") if _is_locked(file)]
        if files or (settings.database_url and _is_in_a_transaction(settings.database_url)):
            self.process.signal(signal.SIGCONT)
            return False
        return True

    def stop(self) -> int:
        """End it as an orchestrator would; its exit code."""
        return self.process.stop(TIMEOUT)

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """What it logged so far, of one event or of all."""
        return logged(self.log, event)


ON_SQLITE = pytest.mark.parametrize("bench", ["sqlite"], indirect=True)
ON_POSTGRES = pytest.mark.parametrize("bench", ["postgres"], indirect=True)


def _is_stopped(pid: int) -> bool:
    """Whether every thread of a process stands still."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return all(
        (thread / "stat").read_text().rpartition(")")[2].split()[0] == "T" for thread in threads
    )


def _is_locked(file: Path) -> bool:
    with closing(sqlite3.connect(file, timeout=1.0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return True
    return False


def _is_in_a_transaction(url: str) -> bool:
    """Whether anybody is, of those who are connected to this PostgreSQL database.

    The lock of DBOS's housekeeping does not count: it is held for most of the time, and lost by who stands still.
    """
    engine = create_engine(url)
    other_sessions = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    busy = "xact_start IS NOT NULL AND query NOT LIKE '%pg_try_advisory_xact_lock%'"
    query = f"SELECT count(*) FROM pg_stat_activity WHERE {other_sessions} AND {busy}"
    with engine.connect() as connection:
        transactions = connection.execute(text(query)).scalar_one()
    engine.dispose()
    return bool(transactions)


class Bench:
    """One home folder, or one database, with its queue and registry."""

    def __init__(self, folder: Path, database_url: str | None = None) -> None:
        self.folder = folder
        self.settings = Settings(home=folder / "home", database_url=database_url)
        self.registry = Registry.open(self.settings)
        self.queue = JobQueue(self.registry.database)
        self.variables = {} if database_url is None else {"WINDLASS_DATABASE_URL": database_url}
        self.started: list[WorkerProcess] = []

    def project(self, name: str = "unruly") -> UnrulyProject:
        """A project of this name."""
        folder = self.folder / name
        folder.mkdir()
        shutil.copy(UNRULY / "project.py", folder)
        return UnrulyProject(folder)

    def worker(
        self, *projects: UnrulyProject, ready: bool = True, **variables: str
    ) -> WorkerProcess:
        """A worker process, stopped at the end of the test."""
        log = self.folder / f"worker-{len(self.started)}.log"
        folders = [project.folder for project in projects]
        worker = WorkerProcess(self.settings.home, log, *folders, **self.variables, **variables)
        self.started.append(worker)
        return worker.wait_ready() if ready else worker

    def submit(self, project: UnrulyProject, deed: str = "fit", **more: Any) -> Job:
        """Submit a training."""
        return self.queue.submit(training_request(project, deed, **more))

    def end(self, job: Job) -> Job:
        """The job, once it has ended."""
        end = f"the end of {self.queue.get(job.id)}"
        wait_until(lambda: self.queue.get(job.id).state.is_final, end, TIMEOUT)
        return self.queue.get(job.id)

    def done(self, job: Job) -> dict[str, Any]:
        """What a job made, once it has succeeded."""
        ended = self.end(job)
        assert ended.state is JobState.SUCCEEDED, ended
        assert ended.result is not None
        return ended.result

    def versions(self, project: UnrulyProject) -> list[Version]:
        """A project's versions, the oldest first."""
        return self.registry.versions(project.name)[::-1]

    def leftovers(self) -> list[Path]:
        """What trainings left in their staging folders."""
        return list((self.settings.home / "jobs").glob("*"))

    def close(self) -> None:
        """Stop every worker."""
        for worker in self.started:
            worker.stop()
        self.registry.close()


def training_request(
    project: UnrulyProject, deed: str = "fit", seed: int = 1, **more: Any
) -> JobRequest:
    """The request of a training of this project, which does this deed first."""
    request = {
        "model": None,
        "hyperparameters": {"deed": deed},
        "seed": seed,
        "test_size": 0.2,
        "folder": str(project.folder),
        "data": None,
        "track": False,
    }
    return JobRequest(project.name, "train", request | more, "ada")


def begin_next(queue: JobQueue, worker: str) -> Job | None:
    """The oldest queued job that may begin, now running in the name of this worker."""
    with queue._database.reading() as connection:
        waiting = read_open_jobs(connection)
    for job in waiting:
        with suppress(ProjectBusyError):
            begun = queue.begin(job.id, worker) if job.state is JobState.QUEUED else None
            if begun is not None:
                return begun
    return None


def make_older(database: Database, job: Job, seconds: float) -> Job:
    """The job, with everything that happened to it so much longer ago."""
    times = (jobs.c.created_at, jobs.c.started_at, jobs.c.finished_at)
    with database.writing() as connection:
        values = {column.name: column - seconds for column in times}
        connection.execute(update(jobs).where(jobs.c.id == job.id).values(**values))
    return JobQueue(database).get(job.id)


def make_heartbeats_older(database: Database) -> None:
    """Has every worker that beats no more count as dead at once."""
    with database.writing() as connection:
        connection.execute(update(workers).values(beat_at=workers.c.beat_at - DEAD_SECONDS))


def is_alive(pid: int) -> bool:
    """Whether a process runs, and is no mere entry that nobody has asked for."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


@pytest.fixture(name="bench")
def sqlite_bench(tmp_path: Path) -> Iterator[Bench]:
    """A queue over SQLite."""
    bench = Bench(tmp_path)
    yield bench
    bench.close()


@pytest.fixture(params=["sqlite", "postgres"])
def bench(request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path) -> Iterator[Bench]:
    """A queue over each database."""
    url = None
    if request.param == "postgres":
        url = request.getfixturevalue("migrated_postgres_url")
    else:
        shutil.copytree(sqlite_template.parent, tmp_path / "home")
    bench = Bench(tmp_path, url)
    yield bench
    bench.close()
