"""Calls on a thread of their own: in order, told to whoever asked, and never in the way of an end."""

import asyncio
import subprocess
import sys
import threading

import pytest

from windlass.web.offload import DaemonExecutor

HANGING = """
import asyncio, threading
from windlass.web.offload import DaemonExecutor

async def main():
    call = DaemonExecutor("hangs").run(threading.Event().wait)
    await asyncio.wait([call], timeout=0.05)

asyncio.run(main())
"""


def test_calls_are_worked_off_in_order_on_one_thread() -> None:
    async def check() -> None:
        aside, seen = DaemonExecutor("thread"), list[tuple[int, int]]()

        def work(number: int, *, double: bool) -> int:
            seen.append((number, threading.get_ident()))
            return number * 2 if double else number

        calls = [aside.run(work, number, double=True) for number in range(5)]
        assert await asyncio.gather(*calls) == [0, 2, 4, 6, 8]
        assert [number for number, _ in seen] == [0, 1, 2, 3, 4]
        assert len({thread for _, thread in seen} - {threading.get_ident()}) == 1
        aside.close()

    asyncio.run(check())


def test_what_a_call_raises_is_raised_to_whom_it_concerns() -> None:
    async def check() -> None:
        aside = DaemonExecutor("thread")
        with pytest.raises(ZeroDivisionError):
            await aside.run(lambda: 1 // 0)
        assert await aside.run(lambda: "and on") == "and on"
        aside.close()

    asyncio.run(check())


def test_whoever_gave_up_is_not_told_and_does_not_hold_up_others() -> None:
    async def check() -> None:
        aside, go = DaemonExecutor("thread"), threading.Event()
        first, second = aside.run(go.wait), aside.run(lambda: pytest.fail("was given up"))
        first.cancel()
        second.cancel()
        third = aside.run(lambda: 3)
        go.set()
        assert await third == 3
        aside.close()

    asyncio.run(check())


def test_a_result_is_not_held_on_to() -> None:
    """Else the model that was loaded last would never be freed."""

    class Large:
        pass

    async def check() -> None:
        import weakref

        aside = DaemonExecutor("thread")
        large = await aside.run(Large)
        seen = weakref.ref(large)
        await aside.run(int)  # the thread has come round
        del large
        assert seen() is None
        aside.close()

    asyncio.run(check())


def test_a_call_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", HANGING], timeout=60, check=False)
    assert done.returncode == 0
