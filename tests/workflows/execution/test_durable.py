"""Steps that are kept: what a worker finished, the next one does not do again."""

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from windlass.errors import StorageError
from windlass.settings import Settings
from windlass.workflows.execution.context import Checkpoint, RunJob, StepResult, WorkerStopped
from windlass.workflows.execution.durable import DurableEngine

Launch = Callable[[str, RunJob], DurableEngine]
GO_ON = threading.Event()


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "sqlite":
        return Settings(home=tmp_path / "home")
    return Settings(
        home=tmp_path / "home", database_url=request.getfixturevalue("migrated_postgres_url")
    )


@pytest.fixture
def launch(settings: Settings) -> Iterator[Launch]:
    """Launches DBOS as one worker after the other."""
    launched: list[DurableEngine] = []

    def start(worker: str, work: RunJob) -> DurableEngine:
        while launched:
            launched.pop().close()
        launched.append(DurableEngine(settings, worker, work))
        return launched[-1]

    yield start
    while launched:
        launched.pop().close()


class Steps:
    """Two steps; `second` may raise. What was done is written down."""

    def __init__(self, raises: BaseException | None = None) -> None:
        self.done: list[str] = []
        self._raises = raises

    def __call__(self, job_id: str, checkpoint: Checkpoint) -> StepResult:
        first = checkpoint("first", self._first)
        return checkpoint("second", lambda: self._second(first))

    def _first(self) -> StepResult:
        self.done.append("first")
        return {"number": 1}

    def _second(self, first: StepResult) -> StepResult:
        self.done.append("second")
        if self._raises is not None:
            raise self._raises
        return {"sum": first["number"] + 1}


def test_work_is_done_once_and_remembered(launch: Launch) -> None:
    steps = Steps()
    durable = launch("one", steps)
    assert durable.carry_out("job", GO_ON) == {"sum": 2}
    assert durable.carry_out("job", GO_ON) == {"sum": 2}
    assert steps.done == ["first", "second"]
    assert durable.carry_out("other", GO_ON) == {"sum": 2}
    assert launch("two", steps).carry_out("job", GO_ON) == {"sum": 2}
    assert steps.done == ["first", "second"] * 2


def test_the_next_worker_goes_on_after_the_last_finished_step(launch: Launch) -> None:
    stopped, whole = Steps(WorkerStopped()), Steps()
    with pytest.raises(WorkerStopped):
        launch("one", stopped).carry_out("job", GO_ON)
    assert stopped.done == ["first", "second"]
    assert launch("two", whole).carry_out("job", GO_ON) == {"sum": 2}
    assert whole.done == ["second"]


def test_the_same_worker_goes_on_too(launch: Launch) -> None:
    stopped = Steps(WorkerStopped())
    durable = launch("one", stopped)
    for _ in range(2):
        with pytest.raises(WorkerStopped):
            durable.carry_out("job", GO_ON)
    assert stopped.done == ["first", "second", "second"]


def test_an_unexpected_error_is_raised_and_remembered(launch: Launch) -> None:
    with pytest.raises(ValueError, match="a fault"):
        launch("one", Steps(ValueError("a fault"))).carry_out("job", GO_ON)
    with pytest.raises(ValueError, match="a fault"):
        launch("two", Steps()).carry_out("job", GO_ON)


def test_work_that_does_not_begin_is_left_on_request(launch: Launch) -> None:
    with pytest.raises(WorkerStopped):
        launch("one", Steps(WorkerStopped())).carry_out("job", GO_ON)
    hung, stop = threading.Event(), threading.Event()

    def hang(job_id: str, checkpoint: Checkpoint) -> StepResult:
        stop.set()
        hung.wait(60)
        return {}

    durable = launch("two", hang)
    with pytest.raises(WorkerStopped):
        durable.carry_out("job", stop)
    hung.set()


def test_what_was_cancelled_is_noted(launch: Launch) -> None:
    durable = launch("one", Steps(WorkerStopped()))
    with pytest.raises(WorkerStopped):
        durable.carry_out("job", GO_ON)
    durable.forget("job")


def test_what_is_erased_is_done_anew(launch: Launch) -> None:
    steps = Steps()
    durable = launch("one", steps)
    for job in ("job", "other"):
        durable.carry_out(job, GO_ON)
    for _ in range(2):
        durable.erase(["job", "never heard of"])
    steps.done.clear()
    durable.carry_out("other", GO_ON)
    assert steps.done == []
    assert launch("two", steps).carry_out("job", GO_ON) == {"sum": 2}
    assert steps.done == ["first", "second"]


def test_nothing_goes_to_the_terminal(launch: Launch, capfd: pytest.CaptureFixture[str]) -> None:
    launch("one", Steps()).carry_out("job", GO_ON)
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("dbos").level == logging.WARNING


def test_a_database_that_cannot_be_used_is_one_error(tmp_path: Path) -> None:
    away = Settings(
        home=tmp_path, database_url="postgresql+psycopg://root@127.0.0.1:1/none?connect_timeout=2"
    )
    with pytest.raises(StorageError, match="Jobs cannot be kept in their database"):
        DurableEngine(away, "one", Steps())
