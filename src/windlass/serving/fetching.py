"""One project's bundles on their way to this machine, each on a thread of its own: none waits for another's store."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from windlass.core.bundle import Bundle
from windlass.errors import StorageError
from windlass.serving.aside import Aside

if TYPE_CHECKING:
    from windlass.registry.version import Version

# at once, and so threads: more than clients may ask for by name (`earlier.MOST_WAITING`), so that decisions have theirs
MOST_UNDER_WAY = 16


class Fetching:
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
            if len(self._under_way) >= MOST_UNDER_WAY:
                raise StorageError(
                    f"{MOST_UNDER_WAY} bundles of {self._project} are being fetched, and the store is slow to give"
                    " them. See that it answers."
                )
            fetched = self._begin(version)
        await asyncio.wait([fetched])  # leaves it alone where this is cancelled
        return fetched.result()

    def _begin(self, version: "Version") -> "asyncio.Future[Bundle]":
        thread = Aside(f"fetch-{self._project}-{version.name}")
        fetched = self._under_way[version.digest] = thread.run(self._fetch, version)
        thread.close()  # after this one call
        fetched.add_done_callback(partial(self._end, version.digest))
        return fetched

    def _end(self, digest: str, fetched: "asyncio.Future[Bundle]") -> None:
        del self._under_way[digest]
        if not fetched.cancelled():
            fetched.exception()  # whoever waited may have gone; nobody need hear of a failure then
