"""Online features of one project: opens its feature store, reads entities and reports how fresh they are."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from windlass.core.entity_ids import EntityId, EntityIds
from windlass.core.feature_view import SERVED_EVENTS, ServedEvent, ViewRecord
from windlass.errors import FeatureError, StorageError, error_text
from windlass.monitoring.metrics import ServerMetrics
from windlass.monitoring.prometheus import FeatureAge
from windlass.serving.batching import MicroBatcher, read_batcher
from windlass.settings import Settings
from windlass.web.offload import DaemonExecutor
from windlass.web.problems import Problem, unavailable

if TYPE_CHECKING:
    from windlass.features.online.reader import FeatureReader, Features
    from windlass.features.online.store import Freshness, OnlineStore


T = TypeVar("T")


@dataclass(frozen=True)
class OpenedStore:
    """The open store of one project, and the reader of one view; any thread may use it."""

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
        """Whether the store is a file, which is fast enough to read on the event loop."""
        return self.settings.online_url is None

    def open(self, view: ViewRecord) -> OpenedStore:
        """Opens the store, to be read by this view. Raises SettingsError or StorageError."""
        from windlass.features.online.reader import FeatureReader
        from windlass.features.online.store import online_store

        store = online_store(self.settings, view, self.project)
        return OpenedStore(view, store, FeatureReader(view, store))


INLINE_IDS = 256  # more entities are read on the thread

_HITS, _MISSES, _FAILURES = range(3)  # positions in READ_RESULTS
_log = logging.getLogger("windlass.serving")


@dataclass(frozen=True)
class OnlineTimings:
    """Times of an online store, in seconds."""

    timeout: float = 5.0  # after which a store that does not answer counts as unreachable
    retry: float = 1.0  # for which a remote store that failed is not tried again


_TIMINGS = OnlineTimings()


class OnlineFeatures:
    """Reads the features of one project.

    Used on the event loop.

    A store that is a file is read on the event loop, which takes microseconds; any other store on a thread.
    """

    def __init__(
        self,
        opener: StoreOpener,
        metrics: ServerMetrics,
        view: ViewRecord | None,
        timings: OnlineTimings = _TIMINGS,
    ) -> None:
        """`view` is the declared view as of now; `update_view` takes later declarations."""
        self.project = opener.project
        self.view = view
        # why the store cannot be read
        self.reason: str | None = "The feature store is being opened."
        self._opener = opener
        self._metrics = metrics
        self._retry_seconds = timings.retry
        self._open_store: OpenedStore | None = None
        self._freshness: Freshness | None = None
        self.stored_ids: EntityIds | None = None  # what ids the stored entities have
        self._executor = DaemonExecutor(
            f"features-{self.project}", timeout=timings.timeout, on_abandon=self._forget_store
        )
        # parses and encodes what is long; a thread apart from the store's, whose calls may take so long only
        self._bodies = DaemonExecutor(f"bodies-{self.project}")
        self._batchers: dict[
            ServedEvent, MicroBatcher[Sequence[EntityId], Sequence[Features | None]]
        ]
        self._batchers = {}
        self._refreshing: asyncio.Task[None] | None = None
        self._open_attempted = False
        self._retry_at = 0.0
        self._counts = memoryview(bytearray(24)).cast("d")

    def has_view(self) -> bool:
        """Returns whether the project has a feature view."""
        return self.view is not None

    @property
    def unready_reason(self) -> str | None:
        """Why features cannot be answered; None where they can."""
        if self.view is None:
            return f"Project {self.project} has no feature view."
        if self.reason is not None:
            return self.reason
        return None if self._freshness is not None else self._how_to_fill

    @property
    def _how_to_fill(self) -> str:
        return (
            f"No features of {self.project} are materialised yet. Run `windlass features build {self.project}`,"
            f" then `windlass features materialise {self.project}`."
        )

    def required_view(self) -> ViewRecord:
        """Returns the view that features are read by. Raises Problem 404 where the project no longer has one."""
        if self.view is None:
            raise Problem(404, f"Project {self.project} has no feature view.")
        return self.view

    async def update_view(self, declared: ViewRecord | None) -> None:
        """Reads by this view as soon as the store holds it, and refreshes the store's freshness."""
        if declared is None:
            self.view = None
            return
        if self.view is None:
            self.view = declared
        await self._refresh(declared)

    async def entity_ids(self) -> EntityIds:
        """Returns what ids the stored entities have. Raises Problem 404 or 503."""
        if self.stored_ids is None:
            self.required_view()
            if self._open_store is None:
                await self._require_store(1)
            await self._require_materialised(1)
        return self.known_entity_ids()

    def known_entity_ids(self) -> EntityIds:
        """Returns what ids the stored entities have, of a store that was filled. Raises Problem 503."""
        if self.stored_ids is None:
            raise self._unavailable(1)
        return self.stored_ids

    async def get(self, entity: EntityId, at: ServedEvent | None = None) -> "Features":
        """Returns the features of an entity, at the event that the view serves, or at this one.

        Raises Problem 404 for an unknown entity, or 503.
        """
        opened = self._open_store
        if opened is not None and self._opener.inline:
            try:
                features = opened.reader.get(entity, at)
            except Exception as error:  # noqa: BLE001 - any error is reported, and the server goes on
                raise self._failed(error, 1) from None
        else:
            (features,) = await self._read_on_thread([entity], at)
        if features is None:
            await self._require_materialised(1)
            self._counts[_MISSES] += 1.0
            raise unknown_entity()
        self._counts[_HITS] += 1.0
        return features

    def is_readable_inline(self) -> bool:
        """Returns whether the store is open, was filled, and is fast enough to read on the event loop."""
        return self._opener.inline and self._open_store is not None and self._freshness is not None

    def read_inline(self, entities: Sequence[EntityId]) -> "Sequence[Features | None]":
        """Returns the features of entities at the event that the view serves; None for an unknown one.

        Reads on this thread. Raises Problem 503.
        """
        if self._open_store is None:
            raise self._unavailable(len(entities))
        try:
            features = self._open_store.reader.get_many(entities)
        except Exception as error:  # noqa: BLE001 - any error is reported, and the server goes on
            raise self._failed(error, len(entities)) from None
        unknown = features.count(None)
        self._counts[_MISSES] += unknown
        self._counts[_HITS] += len(features) - unknown
        return features

    async def get_many(
        self, entities: Sequence[EntityId], at: ServedEvent | None = None
    ) -> "Sequence[Features | None]":
        """Returns the features of entities, in order, as `get` does; None for an unknown one. Raises Problem 503."""
        opened = self._open_store
        if opened is not None and self._opener.inline and len(entities) <= INLINE_IDS:
            try:
                features: Sequence[Features | None] = opened.reader.get_many(entities, at)
            except Exception as error:  # noqa: BLE001 - as above
                raise self._failed(error, len(entities)) from None
        else:
            features = await self._read_on_thread(entities, at)
        unknown = features.count(None)
        if unknown == len(features):
            await self._require_materialised(unknown)
        self._counts[_MISSES] += unknown
        self._counts[_HITS] += len(features) - unknown
        return features

    def age(self) -> FeatureAge | None:
        """Returns how fresh the store was at the last refresh; None where nothing was materialised yet."""
        fresh, view = self._freshness, self.view
        if fresh is None or view is None:
            return None
        max_age = view.max_age_seconds
        return FeatureAge(
            view_version=fresh.view,
            snapshot=fresh.snapshot,
            materialised_at=fresh.materialised_at,
            newest=fresh.newest,
            entities=fresh.entities,
            stale=max_age is not None and time.time() - fresh.materialised_at > max_age,
        )

    def status(self, trained_view: str | None = None) -> dict[str, Any] | None:
        """Returns what `/status` says; None without a view. `trained_view` is the live version's view version."""
        if self.view is None:
            return None
        age = self.age()
        return {
            "view": self.view.name,
            "view_version": self.view.version,
            "trained_view_version": trained_view,
            "reason": self.reason,
            "materialised": None if age is None else age.status(),
        }

    def close(self) -> None:
        """Closes the store and its thread."""
        if self._refreshing is not None:
            self._refreshing.cancel()
        if self._open_store is not None:
            self._open_store.store.close()
        self._executor.close()
        self._bodies.close()

    async def offload(self, work: Callable[[], T], size: int, inline_size: int) -> T:
        """Returns what `work` returns; a larger piece of work than `inline_size` runs on a thread, one at a time."""
        return work() if size <= inline_size else await self._bodies.submit(work)

    async def _read_on_thread(
        self, entities: Sequence[EntityId], at: ServedEvent | None
    ) -> "Sequence[Features | None]":
        """Reads on the thread, in one batch with other waiting requests."""
        if self._open_store is None:
            await self._require_store(len(entities))
        if time.monotonic() < self._retry_at:
            raise self._unavailable(len(entities))
        assert self._open_store is not None
        batchers = self._batchers
        batcher = batchers[at or self._open_store.view.serves]
        try:
            return await batcher.submit(entities)
        except Problem:
            self._counts[_FAILURES] += len(entities)
            raise
        except TimeoutError:
            if batchers is self._batchers:  # else another store is open already
                self._set_reason(self._timeout_reason)
            raise self._unavailable(len(entities)) from None
        except Exception as error:  # noqa: BLE001 - as above
            if isinstance(error, StorageError) and not self._opener.inline:
                self._retry_at = time.monotonic() + self._retry_seconds
            raise self._failed(error, len(entities)) from None

    async def _require_store(self, entities: int) -> None:
        """Opens the store if that was not tried yet. Later attempts are made by the view watcher, not by requests."""
        if not self._open_attempted:
            await self._refresh(self.required_view())
        if self._open_store is None:
            raise self._unavailable(entities)

    async def _require_materialised(self, entities: int) -> None:
        """Raises Problem 503 where the store was never filled: no entity counts as unknown to it."""
        if self._freshness is None:
            await self._refresh(self.required_view())
        if self._freshness is None:
            raise self._unavailable(entities)

    def _unavailable(self, entities: int) -> Problem:
        self._counts[_FAILURES] += entities
        if self.reason is not None or self._open_store is None:
            return unavailable(
                "Features cannot be read now. The server's log tells why.", retry_after=5
            )
        return unavailable(self._how_to_fill, retry_after=5)

    def _failed(self, error: Exception, entities: int) -> Problem:
        if isinstance(error, FeatureError):  # of these rows, not of the store
            self._counts[_FAILURES] += entities
            return unavailable(str(error), retry_after=5)
        self._set_reason(error_text(error))
        return self._unavailable(entities)

    async def _refresh(self, declared: ViewRecord) -> None:
        """Opens the store if it is not open, and reads its freshness. Concurrent callers share one refresh."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh_now(declared))
        await asyncio.shield(self._refreshing)

    async def _refresh_now(self, declared: ViewRecord) -> None:
        try:
            opened, fresh = await self._executor.run(
                self._open_and_check, self._open_store, declared
            )
        except TimeoutError:
            self._set_reason(self._timeout_reason)
        except Exception as error:  # noqa: BLE001 - as above
            self._set_reason(error_text(error))
        else:
            self._freshness = fresh
            self.stored_ids = None if fresh is None else fresh.entity_ids(opened.view)
            if opened is not self._open_store:
                self._use_store(opened)
            self.view = opened.view
            self._set_reason(None if fresh is None else fresh.missing_columns(opened.view))
        self._open_attempted = True

    def _open_and_check(
        self, opened: OpenedStore | None, declared: ViewRecord
    ) -> "tuple[OpenedStore, Freshness | None]":
        """Runs on the thread. Until the store holds a newly declared view, it is read by the view before."""
        opened = opened or self._opener.open(declared)
        fresh = opened.store.freshness()
        if opened.view != declared and (fresh is None or fresh.view == declared.version):
            opened = self._opener.open(declared)
        return opened, fresh

    def _use_store(self, opened: OpenedStore) -> None:
        previous, self._open_store = self._open_store, opened
        self._batchers = {
            at: read_batcher(partial(opened.reader.get_many, at=at), self._executor)
            for at in SERVED_EVENTS
        }
        self._counts = self._metrics.feature_reads(self.project)
        if previous is not None:
            self._executor.submit(previous.store.close)  # after the reads that are queued now

    def _forget_store(self) -> None:
        """Lets the next read open the store again, on a new thread: a broken connection may block for an hour."""
        self._set_reason(self._timeout_reason)
        self._open_store, self._batchers = None, {}

    @property
    def _timeout_reason(self) -> str:
        return f"The feature store has not answered for {self._executor.timeout:g} seconds."

    def _set_reason(self, reason: str | None) -> None:
        """Sets why the store cannot be read, or None; logs a change once."""
        if reason is not None and self.reason != reason:
            _log.error(
                "feature store unreachable", extra={"project": self.project, "reason": reason}
            )
        elif reason is None and self.reason is not None:
            _log.info("feature store readable", extra={"project": self.project})
        self.reason = reason


def unknown_entity() -> Problem:
    """Returns Problem 404 for an entity that the store does not have."""
    return Problem(404, "The feature store does not have this id.")
