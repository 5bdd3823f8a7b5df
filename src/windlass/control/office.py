"""What every control route of a process works with: the stores, the threads that wait on them, the watches."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from windlass.control.pool import Pool, StuckError
from windlass.control.stores import Stores
from windlass.control.watching import Watches
from windlass.errors import UnknownError
from windlass.jobs.job import Job
from windlass.web.problems import unavailable

_log = logging.getLogger("windlass.control")
T = TypeVar("T")


class Office:
    """One for a process, on its event loop. `close` after the last answer."""

    def __init__(self, open_stores: Callable[[], Stores]) -> None:
        self._open = open_stores
        self._stores, self._pool, self._reading = open_stores(), Pool(), Pool()
        self.watches = Watches(self._read)

    async def run(self, work: Callable[[Stores], T]) -> T:
        """What `work` returns, from a thread. Raises what it raises, and Problem 503 where too much waits."""
        stores, pool = self._stores, self._pool
        try:
            return await pool.run(lambda: work(stores))
        except StuckError:
            if pool is self._pool:
                self._abandon()
            raise unavailable(
                "The database does not answer. What was asked for may still come to pass: look before you ask again.",
                retry_after=5,
            ) from None

    async def run_reading(self, work: Callable[[Stores], T]) -> T:
        """As `run`, for what reads bundles on behalf of anybody: a store that is silent holds up no decision."""
        stores, pool = self._stores, self._reading
        try:
            return await pool.run(lambda: work(stores))
        except StuckError:
            if pool is self._reading:
                pool.close()
                self._reading = Pool()
            raise unavailable("The bundle store does not answer.", retry_after=5) from None

    def _abandon(self) -> None:
        """Ask over new connections, on new threads: a connection whose other end is gone may be silent for hours."""
        _log.error("registry does not answer", extra={"reason": "asked anew over new connections"})
        self._pool.close()
        self._stores.close()
        self._stores, self._pool = self._open(), Pool()

    async def _read(self, ids: Sequence[str]) -> list[Job]:
        def read(stores: Stores) -> list[Job]:
            found = []
            for name in ids:
                with suppress(UnknownError):  # a restored database may lack it; the others go on
                    found.append(stores.desk.get(name))
            return found

        return await self.run(read)

    def close(self) -> None:
        """Ask no more, and close the stores."""
        self.watches.close()
        self._pool.close()
        self._reading.close()
        self._stores.close()
