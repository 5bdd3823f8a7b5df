"""The web process as a whole: what it sets once, and what ends with it."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import windlass
from windlass.app import SWITCH_SECONDS, application
from windlass.settings import Settings
from windlass.web.asgi import AsgiService

PYTHON_SECONDS = 0.005


@pytest.fixture
def switch_interval() -> Iterator[float]:
    """The interval that Python begins with, whatever tests before have set."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(PYTHON_SECONDS)
    yield sys.getswitchinterval()
    sys.setswitchinterval(before)


async def started_and_stopped(app: AsgiService) -> None:
    incoming, outgoing = asyncio.Queue[Any](), asyncio.Queue[Any]()
    life = asyncio.create_task(app({"type": "lifespan"}, incoming.get, outgoing.put))
    await incoming.put({"type": "lifespan.startup"})
    assert (await outgoing.get())["type"] == "lifespan.startup.complete"
    assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS, rel=0.1)
    await incoming.put({"type": "lifespan.shutdown"})
    assert (await outgoing.get())["type"] == "lifespan.shutdown.complete"
    await life


def test_the_switch_interval_is_set_once_and_stays(
    iris: Path, tmp_path: Path, switch_interval: float
) -> None:
    asyncio.run(started_and_stopped(application(iris, settings=Settings(home=tmp_path))))
    assert switch_interval != pytest.approx(SWITCH_SECONDS, rel=0.1)
    assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS, rel=0.1)


def test_the_switch_interval_has_one_owner() -> None:
    """Two that set it can undo one another."""
    package = Path(windlass.__file__).parent
    owners = [
        path.name for path in package.rglob("*.py") if "setswitchinterval" in path.read_text()
    ]
    assert owners == ["app.py"]


def test_nothing_is_left_that_an_end_of_the_process_would_wait_for(
    iris: Path, tmp_path: Path, switch_interval: float
) -> None:
    asyncio.run(started_and_stopped(application(iris, settings=Settings(home=tmp_path))))
    waited = [thread for thread in threading.enumerate() if not thread.daemon]
    assert [thread.name for thread in waited if thread.name.startswith(("model", "registry"))] == []
