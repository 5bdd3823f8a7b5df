"""Loaders of models: find versions in the registry, fetch and verify their bundles, and load them, one at a time."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from windlass.core.bundle import Bundle
from windlass.core.bundle_trust import ANY_BUNDLE, BundleTrust
from windlass.errors import IntegrityError, StorageError, error_text
from windlass.serving.model import ServedModel
from windlass.serving.rollout.live_state import LiveRecord
from windlass.serving.served_project import ServedProject
from windlass.web.offload import DaemonExecutor, QueueFullError, SharedCalls
from windlass.web.registry_client import RegistryClient

if TYPE_CHECKING:
    from windlass.registry.version import LiveVersion, Version

T = TypeVar("T")

QUERY_SECONDS = 5.0  # after which a registry that does not answer counts as unreachable
# at once: more than clients may cause by naming versions, so that rollouts are not held up
MAX_FETCHES = 16


class ModelLoader:
    """Loads bundles as models, one at a time.

    The models predict on `executor` where they do not on the event loop.
    """

    def __init__(self, executor: DaemonExecutor, trust: BundleTrust = ANY_BUNDLE) -> None:
        self._executor = executor
        self._trust = trust
        self._loading, self._request_queue = threading.Lock(), threading.Lock()

    def load(self, bundle: Bundle) -> ServedModel:
        """Loads a bundle on this thread, checks and warms up its model.

        Raises IntegrityError, EngineError, or SettingsError where its signature cannot be checked.

        Concurrent calls wait for one another: two loads at once would delay requests twice as much.
        """
        with self._loading:
            self._trust.require(bundle)
            return ServedModel(bundle, self._executor)

    def load_for_request(self, bundle: Bundle) -> ServedModel:
        """Loads a version that a request names; these queue among themselves, so a rollout waits for one at most."""
        with self._request_queue:
            return self.load(bundle)


async def load_bundle(project: ServedProject, bundle: Bundle, loader: ModelLoader) -> None:
    """Loads a bundle by itself and makes it live; a failure becomes the reason why the project is not ready."""
    try:
        model = await asyncio.to_thread(loader.load, bundle)
    except Exception as error:  # noqa: BLE001 - whatever a bundle holds, the other projects go on
        project.refuse(bundle.version, error_text(error))
    else:
        project.switch(model, time.time())


class VersionLoader:
    """Loads versions of one project from the registry.

    Used on the event loop; work goes to threads.

    Registry queries, fetches, loads for a rollout and loads for a request have separate threads, so that a rollout
    waits neither for a store that does not answer nor for versions that clients name.
    """

    def __init__(self, project: str, client: RegistryClient, loader: ModelLoader) -> None:
        self.project = project
        self._client = client
        self._loader = loader
        self._queries = DaemonExecutor(f"queries-{project}", timeout=QUERY_SECONDS)
        self._fetches = SharedCalls[str, Bundle](MAX_FETCHES)
        self._rollout_thread = DaemonExecutor(f"rollout-{project}")
        self._request_thread = DaemonExecutor(f"requested-{project}")

    async def load_production(self, live: "LiveVersion") -> ServedModel:
        """Loads the version in production. Raises what the registry, the store or the bundle raises."""
        version = await self._approved(live.name)
        if version.digest != live.digest:
            raise self._not_approved(live.name)
        return await self._rollout_thread.submit(self._loader.load, await self.fetch(version))

    async def load_requested(self, name: str) -> ServedModel:
        """Loads a version that is or was in production. Raises what the registry, the store or the bundle raises."""
        bundle = await self.fetch(await self._approved(name))
        return await self._request_thread.submit(self._loader.load_for_request, bundle)

    async def load_recorded(self, live: LiveRecord) -> ServedModel:
        """Loads the version that other workers of this server have live, without the registry."""
        return await self._rollout_thread.submit(lambda: self._loader.load(live.bundle()))

    async def available_versions(self) -> tuple[str, ...]:
        """Returns the names of the versions that a request may name. Raises StorageError."""
        versions = await self._query(
            lambda: self._client.registry().servable_versions(self.project)
        )
        return tuple(version.name for version in versions)

    async def fetch(self, version: "Version") -> Bundle:
        """Fetches a version's bundle.

        Concurrent calls for one version share the fetch.

        Raises what the store raises, IntegrityError where it is not the bundle that was approved, and
        StorageError where too many fetches are running.
        """
        try:
            return await self._fetches.get(version.digest, lambda: self._begin(version))
        except QueueFullError:
            raise StorageError(
                f"{self._fetches.max_keys} bundles of {self.project} are being fetched, and the store is slow to give"
                " them. See that it answers."
            ) from None

    def close(self) -> None:
        """Closes the threads; fetches that are running end by themselves."""
        for executor in (self._queries, self._rollout_thread, self._request_thread):
            executor.close()

    def _begin(self, version: "Version") -> "asyncio.Future[Bundle]":
        executor = DaemonExecutor(f"fetch-{self.project}-{version.name}")
        fetched = executor.submit(self._fetch, version)
        executor.close()  # after this one call
        return fetched

    def _fetch(self, version: "Version") -> Bundle:
        """Fetches a bundle, on a thread. Raises IntegrityError unless it is the very bundle that was approved."""
        bundle = self._client.registry().fetch(version)
        if bundle.digest != version.digest:
            raise self._not_approved(version.name)
        return bundle

    async def _approved(self, name: str) -> "Version":
        return await self._query(
            lambda: self._client.registry().approved_version(self.project, name)
        )

    async def _query(self, query: Callable[[], T]) -> T:
        try:
            return await self._queries.run(query)
        except TimeoutError:
            raise StorageError(
                f"The registry has not answered for {QUERY_SECONDS:g} seconds."
            ) from None

    def _not_approved(self, name: str) -> IntegrityError:
        return IntegrityError(
            f"The bundle of {self.project} {name} is not the one that was approved."
            " Restore it, or approve another version."
        )
