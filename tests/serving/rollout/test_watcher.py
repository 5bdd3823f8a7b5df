"""The watchers end when they are cancelled, whatever the registry does at that time."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.support.server import TIMEOUT

from windlass.serving.rollout.watcher import RegistryWatcher
from windlass.settings import Settings
from windlass.web.registry_client import RegistryClient, registry_opener


def test_a_stop_just_as_an_answer_comes(tmp_path: Path) -> None:
    """The task is cancelled in the very turn of the loop in which the answer is there."""

    async def check() -> None:
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        client = RegistryClient(registry_opener(Settings(home=tmp_path)))
        client._executor._put = lambda _: SimpleNamespace(future=answered, begun=None)  # type: ignore[method-assign,assignment,return-value]
        watching = asyncio.create_task(RegistryWatcher(client, []).run())
        await asyncio.sleep(0)
        answered.set_result({})
        watching.cancel()
        done, _ = await asyncio.wait([watching], timeout=TIMEOUT)
        assert done
        assert watching.cancelled()

    asyncio.run(check())
