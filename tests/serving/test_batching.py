"""Natural batching: rows that arrive during a call form the next batch, and each gets its own prediction."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from tests.support.failing_calls import FailingCalls, garbage_kept
from tests.support.server import TIMEOUT

from windlass.core.batch import Batch, Prediction
from windlass.errors import EngineError
from windlass.serving.batching import MAX_ROWS, MicroBatcher, prediction_batcher
from windlass.web.offload import DaemonExecutor

BAD = -1.0
PredictionBatcher = MicroBatcher[Batch, Prediction]


class SlowEngine:
    """Doubles numbers. Each call waits for `go`; a row of -1 fails the whole call."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.go = threading.Semaphore(0)
        self.entered = threading.Event()

    def predict(self, batch: Batch) -> Prediction:
        self.calls.append(len(batch))
        self.entered.set()
        assert self.go.acquire(timeout=TIMEOUT)
        if (batch.numeric == BAD).any():
            raise EngineError("a bad row")
        return Prediction(values=batch.numeric[:, 0] * 2)


def test_what_a_failed_batch_held_is_free_at_once() -> None:
    async def check() -> None:
        executor, work = DaemonExecutor("model", timeout=TIMEOUT), FailingCalls()
        batcher = prediction_batcher(work.fail, executor)
        two = batcher.submit(of(1.0)), batcher.submit(of(2.0))
        errors = await asyncio.gather(*two, return_exceptions=True)
        assert [type(error) for error in errors] == [ZeroDivisionError] * 2
        del errors
        await executor.submit(int)
        assert [held() for held in work.held] == [None] * 3  # together, and each alone
        executor.close()

    with garbage_kept():
        asyncio.run(check())


def of(*values: float) -> Batch:
    return Batch(np.array([[value] for value in values]), np.empty((len(values), 0), object))


def run(check: Callable[[PredictionBatcher, SlowEngine], Awaitable[None]]) -> SlowEngine:
    engine = SlowEngine()

    async def main() -> None:
        executor = DaemonExecutor("model")
        await check(prediction_batcher(engine.predict, executor), engine)
        executor.close()

    asyncio.run(main())
    return engine


async def first_runs(batcher: PredictionBatcher, engine: SlowEngine) -> "asyncio.Task[Prediction]":
    """Start a call, and return once the engine is busy with it."""
    task = asyncio.create_task(batcher.submit(of(0.0)))
    await asyncio.to_thread(engine.entered.wait, TIMEOUT)
    return task


async def queued(batcher: PredictionBatcher, *batches: Batch) -> "list[asyncio.Task[Prediction]]":
    tasks = [asyncio.create_task(batcher.submit(batch)) for batch in batches]
    await asyncio.sleep(0)  # let each of them get in line
    return tasks


def values(prediction: Prediction) -> list[float]:
    assert prediction.values is not None
    numbers: list[float] = prediction.values.tolist()
    return numbers


def test_what_waits_is_the_next_batch() -> None:
    async def check(batcher: PredictionBatcher, engine: SlowEngine) -> None:
        first = await first_runs(batcher, engine)
        waiting = await queued(batcher, *(of(float(i), i + 0.5) for i in range(1, 20)))
        engine.go.release(2)
        assert values(await first) == [0.0]
        for i, task in enumerate(waiting, start=1):
            assert values(await task) == [2.0 * i, 2.0 * i + 1]

    assert run(check).calls == [1, 38]


def test_a_bad_row_fails_no_other_request() -> None:
    async def check(batcher: PredictionBatcher, engine: SlowEngine) -> None:
        first = await first_runs(batcher, engine)
        good, bad, fine = await queued(batcher, of(1.0), of(BAD), of(3.0))
        engine.go.release(5)
        await first
        assert values(await good) == [2.0]
        assert values(await fine) == [6.0]
        with pytest.raises(EngineError, match="a bad row"):
            await bad

    assert run(check).calls == [1, 3, 1, 1, 1]


def test_a_batch_has_a_maximum() -> None:
    async def check(batcher: PredictionBatcher, engine: SlowEngine) -> None:
        first = await first_runs(batcher, engine)
        half = of(*np.arange(MAX_ROWS * 3 / 4).tolist())
        tasks = await queued(batcher, half, half, of(*np.arange(MAX_ROWS * 2.0).tolist()))
        engine.go.release(4)
        await asyncio.gather(first, *tasks)

    sizes = [1, MAX_ROWS * 3 // 4, MAX_ROWS * 3 // 4, MAX_ROWS * 2]
    assert run(check).calls == sizes


def test_a_cancelled_request_does_not_disturb_its_batch() -> None:
    async def check(batcher: PredictionBatcher, engine: SlowEngine) -> None:
        first = await first_runs(batcher, engine)
        gone, stays = await queued(batcher, of(1.0), of(2.0))
        gone.cancel()
        engine.go.release(2)
        await first
        assert values(await stays) == [4.0]
        engine.go.release(1)
        assert values(await batcher.submit(of(5.0))) == [10.0]

    run(check)


def test_many_at_once_over_and_over() -> None:
    async def check(batcher: PredictionBatcher, engine: SlowEngine) -> None:
        engine.go.release(10_000)

        async def client(number: int) -> None:
            for step in range(20):
                value = float(number * 100 + step)
                assert values(await batcher.submit(of(value))) == [value * 2]

        await asyncio.gather(*(client(number) for number in range(50)))

    engine = run(check)
    assert sum(engine.calls) == 1000
    assert max(engine.calls) > 10
