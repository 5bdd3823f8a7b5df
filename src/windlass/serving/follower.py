"""Follows the registry: asks what is in production, again and again, and has each project keep up."""

import asyncio
from collections.abc import Sequence

from windlass.serving.following import Following
from windlass.serving.link import POLL_SECONDS, Link


class Follower:
    """All projects of this process that the registry decides about."""

    def __init__(self, link: Link, followings: Sequence[Following]) -> None:
        self._link = link
        self._followings = followings
        self._looked = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled."""
        names = [following.hosted.name for following in self._followings]
        while True:
            live = await self._link.live(names)
            for following in self._followings:
                if live is None:
                    following.away(self._link.reason or "")
                else:
                    following.aim(live.get(following.hosted.name))
            self._looked.set()
            await asyncio.sleep(POLL_SECONDS)

    async def settle(self) -> None:
        """Return once the first answer came, and what it asks for is loaded or refused."""
        await self._looked.wait()
        await asyncio.gather(*(following.settle() for following in self._followings))

    def close(self) -> None:
        """End what is under way."""
        for following in self._followings:
            following.close()
