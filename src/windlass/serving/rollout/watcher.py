"""Watchers of the registry: poll the versions in production and the declared feature views."""

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
VIEW_POLL_SECONDS = 1.0


class RegistryWatcher:
    """Polls the registry for the versions in production, and passes them to the deployment of each project."""

    def __init__(self, client: RegistryClient, deployments: Sequence[ProjectDeployment]) -> None:
        self._client = client
        self._deployments = deployments
        self._first_answer = asyncio.Event()

    async def run(self) -> None:
        """Polls until cancelled."""
        names = [deployment.project.name for deployment in self._deployments]
        while True:
            live = await self._client.poll(lambda registry: registry.live_versions(names))
            for deployment in self._deployments:
                if live is None:
                    deployment.registry_unreachable(self._client.reason or "")
                else:
                    deployment.reconcile(live.get(deployment.project.name))
            self._first_answer.set()
            await asyncio.sleep(POLL_SECONDS)

    async def wait_until_synced(self) -> None:
        """Returns once the first answer came, and its versions are loaded or refused."""
        await self._first_answer.wait()
        await asyncio.gather(*(deployment.wait_until_idle() for deployment in self._deployments))

    def close(self) -> None:
        """Closes the deployments."""
        for deployment in self._deployments:
            deployment.close()


class FeatureViewWatcher:
    """Polls the registry for the declared feature views, and passes them to the features of each project."""

    def __init__(self, client: RegistryClient, features: Sequence[OnlineFeatures]) -> None:
        self._client = client
        self._features = features
        self._first_answer = asyncio.Event()

    async def run(self) -> None:
        """Polls until cancelled; while the registry is unreachable the views stay as they were."""
        while True:
            views = await self._client.poll(_declared_views) or {}
            updates = [
                online.update_view(views.get(online.project, online.view))
                for online in self._features
            ]
            self._first_answer.set()
            await asyncio.gather(*updates)
            await asyncio.sleep(VIEW_POLL_SECONDS)

    async def wait_until_synced(self) -> None:
        """Returns once the first answer came; does not wait for the stores."""
        await self._first_answer.wait()

    def close(self) -> None:
        """Closes the stores."""
        for online in self._features:
            online.close()


def _declared_views(registry: "Registry") -> "dict[str, ViewRecord | None]":
    """Returns the feature view that each project declares, by project."""
    return {project.name: project.view for project in registry.declarations()}
