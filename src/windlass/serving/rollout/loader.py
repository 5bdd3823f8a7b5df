"""From a bundle to a model that may answer: loaded, proven on its reference examples, warmed; one at a time."""

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from windlass.core.bundle import Bundle
from windlass.errors import StorageError, WindlassError
from windlass.serving.model import ServedModel
from windlass.serving.served_project import ServedProject
from windlass.web.offload import DaemonExecutor

if TYPE_CHECKING:
    from windlass.registry.version import Version

# after which a thread that computes hands the interpreter to one that waits for it
YIELD_SECONDS = 0.00005


class ModelLoader:
    """Loads models, which will compute on `executor` where they do not on the event loop."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._turn, self._line = threading.Lock(), threading.Lock()

    def load(self, bundle: Bundle) -> ServedModel:
        """The model of a bundle, on this thread. Raises IntegrityError or EngineError.

        Whoever asks meanwhile waits: two loads at once would hold up requests twice as much.
        """
        with self._turn, _yielding():
            return ServedModel(bundle, self._executor)

    def load_in_line(self, bundle: Bundle) -> ServedModel:
        """As `load`, for what no decision waits for: a decision's load comes before all of these but one."""
        with self._line:
            return self.load(bundle)


async def load_bare(hosted: ServedProject, bundle: Bundle, loader: ModelLoader) -> None:
    """Let a bundle answer that no registry decides about. A failure is kept as the reason."""
    try:
        model = await asyncio.to_thread(loader.load, bundle)
    except WindlassError as error:
        hosted.refuse(bundle.version, str(error))
    except Exception as error:  # noqa: BLE001 - whatever a bundle holds, the others go on serving
        hosted.refuse(bundle.version, f"{type(error).__name__}: {error}")
    else:
        hosted.switch(model, time.time())


@contextmanager
def _yielding() -> Iterator[None]:
    """Let the event loop in every few microseconds.

    A request gives the interpreter away as it writes to the ledger, and waits this long to have it back: with
    Python's 5 ms, 32 requests that a loop has at hand would wait 160 ms for one another.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(YIELD_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


# at once, and so threads: more than clients may ask for by name (`earlier.MAX_WAITING`), so that decisions have theirs
MAX_UNDER_WAY = 16


class BundleFetcher:
    """Fetches bundles, and verifies them, by `fetch`. On the event loop, but for what the threads do."""

    def __init__(self, project: str, fetch: "Callable[[Version], Bundle]") -> None:
        self._project = project
        self._fetch = fetch
        self._under_way: dict[str, asyncio.Future[Bundle]] = {}

    async def bundle(self, version: "Version") -> Bundle:
        """A version's bundle. Whoever asks for one that is under way waits for the same.

        Raises what `fetch` raises, and StorageError where too many are under way. Whoever is cancelled
        leaves the thread to its end, which nobody hears of.
        """
        fetched = self._under_way.get(version.digest)
        if fetched is None:
            if len(self._under_way) >= MAX_UNDER_WAY:
                raise StorageError(
                    f"{MAX_UNDER_WAY} bundles of {self._project} are being fetched, and the store is slow to give"
                    " them. See that it answers."
                )
            fetched = self._begin(version)
        await asyncio.wait([fetched])  # leaves it alone where this is cancelled
        return fetched.result()

    def _begin(self, version: "Version") -> "asyncio.Future[Bundle]":
        thread = DaemonExecutor(f"fetch-{self._project}-{version.name}")
        fetched = self._under_way[version.digest] = thread.run(self._fetch, version)
        thread.close()  # after this one call
        fetched.add_done_callback(partial(self._end, version.digest))
        return fetched

    def _end(self, digest: str, fetched: "asyncio.Future[Bundle]") -> None:
        del self._under_way[digest]
        if not fetched.cancelled():
            fetched.exception()  # whoever waited may have gone; nobody need hear of a failure then
