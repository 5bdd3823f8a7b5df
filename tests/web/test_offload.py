"""Blocking calls on daemon threads: in order, bounded, timed, and never in the way of an end."""

import asyncio
import threading

import pytest
from tests.support.child_process import TIMEOUT, run_python
from tests.support.failing_calls import FailingCalls, garbage_kept

from windlass.web.offload import DaemonExecutor, QueueFullError, SharedCalls, StuckError

HANGING = """
import asyncio, threading
from windlass.web.offload import DaemonExecutor

async def main():
    call = DaemonExecutor("hangs").submit(threading.Event().wait)
    await asyncio.wait([call], timeout=0.05)

asyncio.run(main())
"""


def test_calls_are_worked_off_in_order_on_one_thread() -> None:
    async def check() -> None:
        executor, seen = DaemonExecutor("thread"), list[tuple[int, int]]()

        def work(number: int, *, double: bool) -> int:
            seen.append((number, threading.get_ident()))
            return number * 2 if double else number

        calls = [executor.submit(work, number, double=True) for number in range(5)]
        assert await asyncio.gather(*calls) == [0, 2, 4, 6, 8]
        assert [number for number, _ in seen] == [0, 1, 2, 3, 4]
        assert len({thread for _, thread in seen} - {threading.get_ident()}) == 1
        executor.close()

    asyncio.run(check())


def test_an_error_of_a_call_reaches_its_caller() -> None:
    async def check() -> None:
        executor = DaemonExecutor("thread")
        with pytest.raises(ZeroDivisionError):
            await executor.submit(lambda: 1 // 0)
        assert await executor.submit(lambda: "and on") == "and on"
        executor.close()

    asyncio.run(check())


def test_what_a_failed_call_held_is_free_at_once() -> None:
    async def check() -> None:
        executor = DaemonExecutor("thread", timeout=TIMEOUT)
        work = FailingCalls()
        for start in (executor.submit, executor.run):
            with pytest.raises(ZeroDivisionError):
                await start(work.fail)
            await executor.submit(int)  # the thread has left the call before
        assert [held() for held in work.held] == [None, None]
        executor.close()

    with garbage_kept():
        asyncio.run(check())


def test_a_cancelled_call_does_not_hold_up_others() -> None:
    async def check() -> None:
        executor, go = DaemonExecutor("thread"), threading.Event()
        first, second = (
            executor.submit(go.wait),
            executor.submit(lambda: pytest.fail("was given up")),
        )
        first.cancel()
        second.cancel()
        third = executor.submit(lambda: 3)
        go.set()
        assert await third == 3
        executor.close()

    asyncio.run(check())


def test_a_result_is_not_held_on_to() -> None:
    """Else the model that was loaded last would never be freed."""

    class Large:
        pass

    async def check() -> None:
        import weakref

        executor = DaemonExecutor("thread")
        large = await executor.submit(Large)
        seen = weakref.ref(large)
        await executor.submit(int)  # the thread has come round
        del large
        assert seen() is None
        executor.close()

    asyncio.run(check())


def test_a_call_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    run_python(HANGING)


def test_a_call_that_hangs_is_abandoned_once_and_others_run_on_new_threads(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hang, abandoned = threading.Event(), list[int]()

    async def check() -> None:
        executor = DaemonExecutor(
            "thread", threads=2, timeout=0.1, on_abandon=lambda: abandoned.append(1)
        )
        calls = [executor.run(hang.wait) for _ in range(2)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [StuckError, StuckError]
        executor.timeout = 60.0
        assert await executor.run(lambda: 7) == 7
        assert executor.abandoned == 1
        executor.close()

    asyncio.run(check())
    hang.set()
    assert abandoned == [1]
    assert [record.getMessage() for record in caplog.records] == ["threads abandoned"]


def test_a_thread_that_hangs_in_a_call_whose_caller_has_gone_is_abandoned() -> None:
    """Nobody times such a call any more; the call behind it does."""
    hang = threading.Event()

    async def check() -> None:
        executor = DaemonExecutor("thread", timeout=0.2)
        gone = asyncio.ensure_future(executor.run(hang.wait))
        await asyncio.sleep(0.05)
        gone.cancel()
        with pytest.raises(TimeoutError) as caught:
            await executor.run(lambda: 7)
        assert not isinstance(caught.value, StuckError)
        executor.timeout = 60.0
        assert await executor.run(lambda: 7) == 7
        assert executor.abandoned == 1
        executor.close()

    asyncio.run(check())
    hang.set()


def test_a_timeout_that_the_call_raises_itself_abandons_nothing() -> None:
    def work() -> None:
        raise TimeoutError("of a socket")

    async def check() -> None:
        executor = DaemonExecutor("thread", timeout=60.0)
        with pytest.raises(TimeoutError, match="of a socket"):
            await executor.run(work)
        assert executor.abandoned == 0
        executor.close()

    asyncio.run(check())


def test_a_full_queue_refuses_calls() -> None:
    async def check() -> None:
        executor, go = DaemonExecutor("thread", max_pending=2), threading.Event()
        calls = [asyncio.ensure_future(executor.run(go.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError):
            await executor.run(lambda: 7)
        go.set()
        await asyncio.gather(*calls)
        assert await executor.run(lambda: 7) == 7
        executor.close()
        with pytest.raises(RuntimeError, match="is closed"):
            executor.submit(lambda: 7)

    asyncio.run(check())


def test_callers_share_a_running_call_also_where_the_first_has_gone() -> None:
    async def check() -> None:
        calls, go = SharedCalls[str, object](2), asyncio.Event()

        async def work() -> object:
            await go.wait()
            return object()

        first, second, third = (asyncio.ensure_future(calls.get("a", work)) for _ in range(3))
        other = asyncio.ensure_future(calls.get("b", work))
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError):
            await calls.get("c", work)
        first.cancel()
        go.set()
        assert await second is await third
        assert await second is not await other
        assert await calls.get("a", work) is not await second

    asyncio.run(check())
