"""From a version to a model that may answer: found, fetched, verified, loaded, proven on its reference examples."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from windlass.core.bundle import Bundle
from windlass.errors import IntegrityError, StorageError, WindlassError
from windlass.serving.model import ServedModel
from windlass.serving.rollout.live_state import LiveRecord
from windlass.serving.served_project import ServedProject
from windlass.web.offload import DaemonExecutor, QueueFullError, SharedCalls
from windlass.web.registry_client import RegistryClient

if TYPE_CHECKING:
    from windlass.registry.version import LiveVersion, Version

T = TypeVar("T")

QUERY_SECONDS = 5.0  # after which a registry that gives no answer counts as away
MAX_FETCHES = 16  # at once: more than clients may ask for by name, so that decisions have theirs


class ModelLoader:
    """Loads models, one at a time; they compute on `executor` where they do not on the event loop."""

    def __init__(self, executor: DaemonExecutor) -> None:
        self._executor = executor
        self._turn, self._line = threading.Lock(), threading.Lock()

    def load(self, bundle: Bundle) -> ServedModel:
        """Returns the model of a bundle, loaded on this thread. Raises IntegrityError or EngineError.

        Whoever asks meanwhile waits: two loads at once would hold up requests twice as much.
        """
        with self._turn:
            return ServedModel(bundle, self._executor)

    def load_in_line(self, bundle: Bundle) -> ServedModel:
        """As `load`, for what no decision waits for: a decision's load comes before all of these but one."""
        with self._line:
            return self.load(bundle)


async def load_bare(hosted: ServedProject, bundle: Bundle, loader: ModelLoader) -> None:
    """Loads a bundle that no registry decides about, and lets it answer. A failure is kept as the reason."""
    try:
        model = await asyncio.to_thread(loader.load, bundle)
    except WindlassError as error:
        hosted.refuse(bundle.version, str(error))
    except Exception as error:  # noqa: BLE001 - whatever a bundle holds, the others go on serving
        hosted.refuse(bundle.version, f"{type(error).__name__}: {error}")
    else:
        hosted.switch(model, time.time())


class VersionLoader:
    """Loads versions of one project from the registry. On the event loop; work goes to threads.

    Queries, fetches, decided loads and requested loads have threads apart, so that a decision waits neither
    for a store that is silent nor for what clients request.
    """

    def __init__(self, project: str, client: RegistryClient, loader: ModelLoader) -> None:
        self.project = project
        self._client = client
        self._loader = loader
        self._queries = DaemonExecutor(f"queries-{project}", timeout=QUERY_SECONDS)
        self._fetches = SharedCalls[str, Bundle](MAX_FETCHES)
        self._decided = DaemonExecutor(f"decided-{project}")
        self._requested = DaemonExecutor(f"requested-{project}")

    async def decided(self, live: "LiveVersion") -> ServedModel:
        """Returns the version in production, loaded. Raises what the registry, the store or the bundle raises."""
        version = await self._approved(live.name)
        if version.digest != live.digest:
            raise self._not_approved(live.name)
        return await self._decided.submit(self._loader.load, await self.fetch(version))

    async def requested(self, name: str) -> ServedModel:
        """Returns a version that is or was in production, loaded. Raises as `decided`."""
        bundle = await self.fetch(await self._approved(name))
        return await self._requested.submit(self._loader.load_in_line, bundle)

    async def recalled(self, live: LiveRecord) -> ServedModel:
        """Returns the version that other workers of this server have live, without the registry."""
        return await self._decided.submit(lambda: self._loader.load(live.bundle()))

    async def available(self) -> tuple[str, ...]:
        """Returns the names of the versions that clients may request. Raises StorageError."""
        versions = await self._query(
            lambda: self._client.registry().servable_versions(self.project)
        )
        return tuple(version.name for version in versions)

    async def fetch(self, version: "Version") -> Bundle:
        """Returns a version's bundle. Callers that ask for one that is under way share it.

        Raises what the store raises, IntegrityError where it is not the bundle that was approved, and
        StorageError where too many are under way.
        """
        try:
            return await self._fetches.get(version.digest, lambda: self._begin(version))
        except QueueFullError:
            raise StorageError(
                f"{self._fetches.max_keys} bundles of {self.project} are being fetched, and the store is slow to give"
                " them. See that it answers."
            ) from None

    def close(self) -> None:
        """Takes no more calls."""
        for executor in (self._queries, self._decided, self._requested):
            executor.close()

    def _begin(self, version: "Version") -> "asyncio.Future[Bundle]":
        executor = DaemonExecutor(f"fetch-{self.project}-{version.name}")
        fetched = executor.submit(self._fetch, version)
        executor.close()  # after this one call
        return fetched

    def _fetch(self, version: "Version") -> Bundle:
        """On a thread: nothing is loaded but the very bundle that was approved."""
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
