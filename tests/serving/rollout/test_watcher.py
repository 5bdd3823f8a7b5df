"""Following ends when it is told to, whatever the registry does at that moment."""

import asyncio
import threading
from pathlib import Path
from typing import Any

from tests.support.server import TIMEOUT

from windlass.errors import StorageError
from windlass.serving.rollout import registry_client
from windlass.serving.rollout.registry_client import RegistryClient
from windlass.serving.rollout.watcher import RegistryWatcher
from windlass.settings import Settings


def linked(home: Path, ask: Any) -> RegistryClient:
    """A link whose registry answers what `ask` does."""
    made = RegistryClient(Settings(home=home))
    made._ask = ask  # type: ignore[method-assign]
    return made


def test_a_stop_just_as_an_answer_comes(tmp_path: Path) -> None:
    """The task is cancelled in the very turn of the loop in which the answer is there."""

    async def check() -> None:
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        made = linked(tmp_path, None)
        made._thread.run = lambda *_: answered  # type: ignore[method-assign,assignment]
        following = asyncio.create_task(RegistryWatcher(made, []).run())
        await asyncio.sleep(0)
        answered.set_result({})
        following.cancel()
        done, _ = await asyncio.wait([following], timeout=TIMEOUT)
        assert done
        assert following.cancelled()

    asyncio.run(check())


def test_a_registry_that_fails_and_comes_back(tmp_path: Path) -> None:
    failures = iter([StorageError("away"), RuntimeError("a surprise"), None])

    def ask(_: object) -> dict[str, Any]:
        failure = next(failures)
        if failure is not None:
            raise failure
        return {}

    async def check() -> None:
        made = linked(tmp_path, ask)
        assert await made.live([]) is None
        assert made.told()["reason"] == "away"
        since = made.since
        assert await made.live([]) is None
        assert made.told() == {
            "reachable": False,
            "since": since,
            "reason": "RuntimeError: a surprise",
        }
        assert await made.live([]) == {}
        assert made.told()["reachable"] is True
        assert made.told()["reason"] is None

    asyncio.run(check())


def test_a_registry_that_is_silent_is_asked_over_a_new_connection(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(registry_client, "TIMEOUT_SECONDS", 0.05)
    silence = threading.Event()

    def ask(_: object) -> dict[str, Any]:
        silence.wait()
        return {}

    async def check() -> None:
        made = linked(tmp_path, ask)
        before = made._thread
        assert await made.live([]) is None
        assert "has not answered" in made.told()["reason"]
        monkeypatch.setattr(registry_client, "TIMEOUT_SECONDS", TIMEOUT)
        made._ask = lambda _: {}  # type: ignore[method-assign,assignment,return-value]
        assert await made.live([]) == {}
        assert made._thread is not before
        assert made._registry is None

    asyncio.run(check())
    silence.set()
