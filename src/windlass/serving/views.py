"""Follows which feature views the registry declares, and how fresh the stores are that they are read from."""

import asyncio
from collections.abc import Sequence

from windlass.serving.link import Link
from windlass.serving.online import Online

LOOK_SECONDS = 1.0


class Views:
    """The views of all projects of this process that the registry decides about."""

    def __init__(self, link: Link, followed: Sequence[Online]) -> None:
        self._link = link
        self._followed = followed
        self._asked = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled. While the registry is away the views stay what they were."""
        while True:
            await self._look()
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        views = await self._link.views([online.project for online in self._followed]) or {}
        declared = [views.get(online.project, online.view) for online in self._followed]
        following = asyncio.gather(
            *(one.follow(view) for one, view in zip(self._followed, declared, strict=True))
        )
        self._asked.set()
        await following

    async def settle(self) -> None:
        """Return once it was asked which views there are. No store is waited for."""
        await self._asked.wait()

    def close(self) -> None:
        """Let go of the stores."""
        for online in self._followed:
            online.close()
