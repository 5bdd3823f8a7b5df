"""One project's features in this server: by which view they are read, how fresh they are, and what was read."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windlass.core.feature_view import ViewRecord
from windlass.errors import StorageError, WindlassError
from windlass.monitoring.metrics import ServerMetrics
from windlass.monitoring.prometheus import FeatureAge
from windlass.serving.batching import MicroBatcher, read_batcher
from windlass.settings import Settings
from windlass.web.offload import DaemonExecutor
from windlass.web.problems import Problem, unavailable

if TYPE_CHECKING:
    from windlass.features.online.reader import FeatureReader, Features
    from windlass.features.online.store import Freshness, OnlineStore


@dataclass(frozen=True)
class OpenedStore:
    """The store of one project, and how its features are read by a view. Any thread may use it."""

    view: ViewRecord
    store: "OnlineStore"
    reader: "FeatureReader"


@dataclass(frozen=True)
class StoreOpener:
    """Opens the store of one project that the settings name."""

    settings: Settings
    project: str

    @property
    def inline(self) -> bool:
        """Whether the store is a file, read so fast that the event loop need not be spared."""
        return self.settings.online_url is None

    def open(self, view: ViewRecord) -> OpenedStore:
        """The store, to be read by this view. Raises SettingsError or StorageError."""
        from windlass.features.online.reader import FeatureReader
        from windlass.features.online.store import online_store

        store = online_store(self.settings, view, self.project)
        return OpenedStore(view, store, FeatureReader(view, store))


TIMEOUT_SECONDS = 5.0  # after which a store that gives no answer is told to be away
AGAIN_SECONDS = 1.0  # for which a store on another machine that is away is not asked again
INLINE_IDS = 256  # more are read on the thread

_FOUND, _UNKNOWN, _FAILED = range(3)  # of READ_RESULTS
_log = logging.getLogger("windlass.serving")


class OnlineFeatures:
    """The features of one project, on the event loop.

    A store that is a file is read right there: that takes microseconds. Any other is read on a thread.
    """

    def __init__(
        self, opener: StoreOpener, telemetry: ServerMetrics, view: ViewRecord | None
    ) -> None:
        """`view` is what is known to be declared as yet; `follow` tells what is declared later."""
        self.project = opener.project
        self.view = view
        self.reason: str | None = "The feature store is being opened."  # why it cannot be read
        self._opener = opener
        self._telemetry = telemetry
        self._opened: OpenedStore | None = None
        self._fresh: Freshness | None = None
        self._executor = DaemonExecutor(
            f"features-{self.project}", timeout=TIMEOUT_SECONDS, on_abandon=self._abandon
        )
        self._reads: MicroBatcher[Sequence[int], Sequence[Features | None]] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._tried = False  # to open the store
        self._not_before = 0.0
        self._counts = memoryview(bytearray(24)).cast("d")

    def is_there(self) -> bool:
        """Whether the project has a feature view."""
        return self.view is not None

    @property
    def lack(self) -> str | None:
        """Why no features can be answered; None where they can."""
        if self.view is None:
            return f"Project {self.project} has no feature view."
        if self.reason is not None:
            return self.reason
        return None if self._fresh is not None else self._advice

    @property
    def _advice(self) -> str:
        return (
            f"No features of {self.project} are materialised yet. Run `windlass features build {self.project}`,"
            f" then `windlass features materialise {self.project}`."
        )

    @property
    def declared(self) -> ViewRecord:
        """The view by which features are read. Raises Problem 404 where there is none any more."""
        if self.view is None:
            raise Problem(404, f"Project {self.project} has no feature view.")
        return self.view

    async def follow(self, declared: ViewRecord | None) -> None:
        """Read by this view from now on, as soon as the store holds it; look how fresh the store is."""
        if declared is None:
            self.view = None
            return
        if self.view is None:
            self.view = declared
        await self._look(declared)

    async def get(self, entity: int) -> "Features":
        """The features of an entity. Raises Problem 404 where it is unknown, 503 where they cannot be read."""
        opened = self._opened
        if opened is not None and self._opener.inline:
            try:
                found = opened.reader.get(entity)
            except Exception as error:  # noqa: BLE001 - whatever it was, it is told and the server goes on
                raise self._failed(error, 1) from None
        else:
            (found,) = await self._read([entity])
        if found is None:
            await self._require_materialised(1)
            self._counts[_UNKNOWN] += 1.0
            raise Problem(404, "No features are known of this id.")
        self._counts[_FOUND] += 1.0
        return found

    async def get_many(self, entities: Sequence[int]) -> "Sequence[Features | None]":
        """The features of entities, in order; None for one that is unknown. Raises Problem 503."""
        opened = self._opened
        if opened is not None and self._opener.inline and len(entities) <= INLINE_IDS:
            try:
                found: Sequence[Features | None] = opened.reader.get_many(entities)
            except Exception as error:  # noqa: BLE001 - as above
                raise self._failed(error, len(entities)) from None
        else:
            found = await self._read(entities)
        unknown = found.count(None)
        if unknown == len(found):
            await self._require_materialised(unknown)
        self._counts[_UNKNOWN] += unknown
        self._counts[_FOUND] += len(found) - unknown
        return found

    def age(self) -> FeatureAge | None:
        """How fresh the store was when it was last looked at; None where it was never materialised."""
        fresh, view = self._fresh, self.view
        if fresh is None or view is None:
            return None
        most = view.max_age_seconds
        return FeatureAge(
            view_version=fresh.view,
            snapshot=fresh.snapshot,
            materialised_at=fresh.materialised_at,
            newest=fresh.newest,
            entities=fresh.entities,
            stale=most is not None and time.time() - fresh.materialised_at > most,
        )

    def told(self, trained: str | None = None) -> dict[str, Any] | None:
        """What `/status` says; None where there is no view. `trained` is the one that the live version knows."""
        if self.view is None:
            return None
        age = self.age()
        return {
            "view": self.view.name,
            "view_version": self.view.version,
            "trained_view_version": trained,
            "reason": self.reason,
            "materialised": None if age is None else age.told(),
        }

    def close(self) -> None:
        """Let go of the store."""
        if self._looking is not None:
            self._looking.cancel()
        if self._opened is not None:
            self._opened.store.close()
        self._executor.close()

    async def _read(self, entities: Sequence[int]) -> "Sequence[Features | None]":
        """On the thread, with whatever else waits to be read."""
        if self._opened is None:
            await self._require_opened(len(entities))
        if time.monotonic() < self._not_before:
            raise self._unavailable(len(entities))
        reads = self._reads
        assert reads is not None
        try:
            return await reads.submit(entities)
        except Problem:
            self._counts[_FAILED] += len(entities)
            raise
        except TimeoutError:
            if reads is self._reads:  # else the store is opened anew already
                self._is(self._silent)
            raise self._unavailable(len(entities)) from None
        except Exception as error:  # noqa: BLE001 - as above
            if isinstance(error, StorageError) and not self._opener.inline:
                self._not_before = time.monotonic() + AGAIN_SECONDS
            raise self._failed(error, len(entities)) from None

    async def _require_opened(self, asked: int) -> None:
        """Once it was tried and failed, whoever follows the views tries again; requests need not wait for that."""
        if not self._tried:
            await self._look(self.declared)
        if self._opened is None:
            raise self._unavailable(asked)

    async def _require_materialised(self, asked: int) -> None:
        """Nobody is unknown to a store that was never filled: raise Problem 503 then."""
        if self._fresh is None:
            await self._look(self.declared)
        if self._fresh is None:
            raise self._unavailable(asked)

    def _unavailable(self, asked: int) -> Problem:
        self._counts[_FAILED] += asked
        if self.reason is not None or self._opened is None:
            return unavailable(
                "Features cannot be read now. The server's log tells why.", retry_after=5
            )
        return unavailable(self._advice, retry_after=5)

    def _failed(self, error: Exception, asked: int) -> Problem:
        self._is(_told(error))
        return self._unavailable(asked)

    async def _look(self, declared: ViewRecord) -> None:
        """Open the store where that was not done, and see how fresh it is. Who asks meanwhile waits for the same."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_now(declared))
        await asyncio.shield(self._looking)

    async def _look_now(self, declared: ViewRecord) -> None:
        try:
            opened, fresh = await self._executor.run(self._see, self._opened, declared)
        except TimeoutError:
            self._is(self._silent)
        except Exception as error:  # noqa: BLE001 - as above
            self._is(_told(error))
        else:
            self._fresh = fresh
            if opened is not self._opened:
                self._adopt(opened)
            self.view = opened.view
            self._is(None)
        self._tried = True

    def _see(
        self, opened: OpenedStore | None, declared: ViewRecord
    ) -> "tuple[OpenedStore, Freshness | None]":
        """On the thread. Until the store holds a newly declared view, what it holds is read by the one before."""
        opened = opened or self._opener.open(declared)
        fresh = opened.store.freshness()
        if opened.view != declared and (fresh is None or fresh.view == declared.version):
            opened = self._opener.open(declared)
        return opened, fresh

    def _adopt(self, opened: OpenedStore) -> None:
        before, self._opened = self._opened, opened
        self._reads = read_batcher(opened.reader.get_many, self._executor)
        self._counts = self._telemetry.feature_reads(self.project)
        if before is not None:
            self._executor.submit(before.store.close)  # after what it is asked now

    def _abandon(self) -> None:
        """Open the store anew on the next thread: a connection whose other end is gone may be silent for an hour."""
        self._is(self._silent)
        self._opened = self._reads = None

    @property
    def _silent(self) -> str:
        return f"The feature store has not answered for {self._executor.timeout:g} seconds."

    def _is(self, reason: str | None) -> None:
        """Note how it stands; a change is logged once."""
        if reason is not None and self.reason != reason:
            _log.error("features away", extra={"project": self.project, "reason": reason})
        elif reason is None and self.reason is not None:
            _log.info("features can be read", extra={"project": self.project})
        self.reason = reason


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, WindlassError) else f"{type(error).__name__}: {error}"
