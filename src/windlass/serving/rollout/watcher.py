"""Follows the registry: asks what is in production, again and again, and has each project keep up."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from windlass.serving.online_features import OnlineFeatures
from windlass.serving.rollout.deployment import ProjectDeployment
from windlass.web.registry_client import RegistryClient

if TYPE_CHECKING:
    from windlass.core.feature_view import ViewRecord
    from windlass.registry.registry import Registry

POLL_SECONDS = 0.4
LOOK_SECONDS = 1.0


class RegistryWatcher:
    """All projects of this process that the registry decides about."""

    def __init__(self, client: RegistryClient, followings: Sequence[ProjectDeployment]) -> None:
        self._client = client
        self._followings = followings
        self._looked = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled."""
        names = [following.hosted.name for following in self._followings]
        while True:
            live = await self._client.poll(lambda registry: registry.live_versions(names))
            for following in self._followings:
                if live is None:
                    following.away(self._client.reason or "")
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


class FeatureViewWatcher:
    """The views of all projects of this process that the registry decides about."""

    def __init__(self, client: RegistryClient, followed: Sequence[OnlineFeatures]) -> None:
        self._client = client
        self._followed = followed
        self._asked = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled. While the registry is away the views stay what they were."""
        while True:
            await self._look()
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        views = await self._client.poll(_declared_views) or {}
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


def _declared_views(registry: "Registry") -> "dict[str, ViewRecord | None]":
    """The feature view that each project declares, by project."""
    return {project.name: project.view for project in registry.declarations()}
