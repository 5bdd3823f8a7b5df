"""Steps that are stored: what a worker finished, the next one does not do again."""

import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.waiting import wait_until

from windlass.errors import StorageError
from windlass.settings import Settings
from windlass.workflows.execution.context import Checkpoint, RunJob, StepResult, WorkerStopped
from windlass.workflows.execution.durable import DurableEngine

Launch = Callable[[str, RunJob], DurableEngine]


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path) -> Settings:
    if request.param == "sqlite":
        shutil.copytree(sqlite_template.parent, tmp_path / "home")
        return Settings(home=tmp_path / "home")
    return Settings(
        home=tmp_path / "home", database_url=request.getfixturevalue("migrated_postgres_url")
    )


@pytest.fixture
def launch(settings: Settings) -> Iterator[Launch]:
    """Launches DBOS as one worker after the other, which listens to the queue of project iris."""
    launched: list[DurableEngine] = []

    def start(worker: str, run_job: RunJob) -> DurableEngine:
        while launched:
            launched.pop().close()
        launched.append(DurableEngine(settings, worker, run_job))
        assert launched[-1].listen("iris")
        return launched[-1]

    yield start
    while launched:
        launched.pop().close()


class Steps:
    """Two steps; `second` may raise. What was done is written down."""

    def __init__(self, raises: BaseException | None = None) -> None:
        self.done: list[str] = []
        self.sums: list[StepResult] = []
        self._raises = raises

    def __call__(self, job_id: str, checkpoint: Checkpoint) -> None:
        first = checkpoint("first", self._first)
        self.sums.append(checkpoint("second", lambda: self._second(first)))

    def _first(self) -> StepResult:
        self.done.append("first")
        return {"number": 1}

    def _second(self, first: StepResult) -> StepResult:
        self.done.append("second")
        if self._raises is not None:
            raise self._raises
        return {"sum": first["number"] + 1}


def ended(engine: DurableEngine, job_id: str) -> str:
    """How the work on a job ended."""
    is_open = ("ENQUEUED", "PENDING")
    wait_until(lambda: engine.workflows([job_id])[job_id].status not in is_open, "an end")
    return engine.workflows([job_id])[job_id].status


def test_a_job_is_run_once(launch: Launch) -> None:
    steps = Steps()
    engine = launch("one", steps)
    for _ in range(2):
        engine.enqueue("job", "iris", "iris")
    assert ended(engine, "job") == "SUCCESS"
    engine.enqueue("job", "iris", "iris")
    engine.enqueue("other", "iris", "iris")
    assert ended(engine, "other") == "SUCCESS"
    assert steps.done == ["first", "second"] * 2
    assert steps.sums == [{"sum": 2}] * 2


def test_the_next_worker_continues_after_the_last_finished_step(launch: Launch) -> None:
    stopped, whole = Steps(WorkerStopped()), Steps()
    engine = launch("one", stopped)
    engine.enqueue("job", "iris", "iris")
    wait_until(lambda: engine.is_released("job"), "a stop")
    assert engine.workflows(["job"])["job"].worker == "one"
    engine = launch("two", whole)
    assert engine.workflows([])["job"].is_claimed, "until somebody resumes it"
    engine.resume("job", "iris")
    assert ended(engine, "job") == "SUCCESS"
    assert (stopped.done, whole.done) == (["first", "second"], ["second"])


def test_an_unexpected_error_ends_the_work(launch: Launch) -> None:
    engine = launch("one", Steps(ValueError("a fault")))
    engine.enqueue("job", "iris", "iris")
    assert ended(engine, "job") == "ERROR"


def test_a_queue_is_not_left_while_a_job_runs(launch: Launch) -> None:
    hung, begun, done = threading.Event(), threading.Event(), []

    def hang(job_id: str, checkpoint: Checkpoint) -> None:
        begun.set()
        hung.wait(60)
        done.append(job_id)

    engine = launch("one", hang)
    engine.enqueue("job", "iris", "iris")
    engine.enqueue("elsewhere", "loan", "loan")
    assert begun.wait(30)
    assert not engine.wait_idle(0)
    assert not engine.is_idle
    assert not engine.listen("loan")
    hung.set()
    assert ended(engine, "job") == "SUCCESS"
    assert engine.wait_idle(60)
    assert engine.listen("loan")
    assert ended(engine, "elsewhere") == "SUCCESS"
    assert done == ["job", "elsewhere"]


def test_what_is_erased_is_done_anew(launch: Launch) -> None:
    steps = Steps()
    engine = launch("one", steps)
    engine.enqueue("job", "iris", "iris")
    ended(engine, "job")
    for _ in range(2):
        engine.erase(["job", "never heard of"])
    assert engine.workflows(["job"]) == {}
    engine.enqueue("job", "iris", "iris")
    assert ended(engine, "job") == "SUCCESS"
    assert steps.done == ["first", "second"] * 2


def test_nothing_goes_to_the_terminal(launch: Launch, capfd: pytest.CaptureFixture[str]) -> None:
    engine = launch("one", Steps())
    engine.enqueue("job", "iris", "iris")
    ended(engine, "job")
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("dbos").level == logging.WARNING


def test_a_database_that_cannot_be_used_is_one_error(tmp_path: Path) -> None:
    away = Settings(
        home=tmp_path, database_url="postgresql+psycopg://root@127.0.0.1:1/none?connect_timeout=2"
    )
    with pytest.raises(StorageError, match="Jobs cannot be kept in their database"):
        DurableEngine(away, "one", Steps()).listen("iris")
