"""Online features of one project over test stores: silent, broken, filled later."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tests.support.loan_view import PROJECT_VIEW
from tests.support.server import TIMEOUT

from windlass.core.feature_view import ServedEvent, ViewRecord
from windlass.errors import StorageError
from windlass.features.online.reader import Features
from windlass.features.online.store import Freshness
from windlass.monitoring.metrics import ServerMetrics
from windlass.monitoring.shared_counters import SharedCounters
from windlass.serving.online_features import OnlineFeatures, OnlineTimings, OpenedStore, StoreOpener
from windlass.settings import Settings
from windlass.web.problems import Problem

CLIENT, STRANGER, TORN = 1, 2, 13
ELSEWHERE = "redis://nowhere"


class Store:
    """Knows one entity, and cannot read another; `let` is unset while it is silent."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.let.set()
        self.away = False
        self.read_ids: list[int] = []
        self.fresh: Freshness | None = Freshness(
            name="clients",
            view=PROJECT_VIEW.version,
            snapshot=3,
            created=1.0,
            materialised_at=2.0,
            newest=date(2020, 1, 1),
            entities=1,
        )
        self.closed = False

    def freshness(self) -> Freshness | None:
        self._wait()
        return self.fresh

    def get(self, entity: int, at: ServedEvent | None = None) -> Features | None:
        return self.get_many([entity], at)[0]

    def get_many(
        self, entities: Sequence[int], at: ServedEvent | None = None
    ) -> list[Features | None]:
        self.read_ids += entities
        self._wait()
        if TORN in entities:
            raise KeyError("torn")
        features = Features(CLIENT, {"age": 40}, date(2020, 1, 1), 1.0, False, "a")
        return [features if entity == CLIENT else None for entity in entities]

    def close(self) -> None:
        self.closed = True

    def _wait(self) -> None:
        assert self.let.wait(TIMEOUT)
        if self.away:
            raise StorageError("It is away.")


class Opening(StoreOpener):
    """Opens the stores that a test gives, one after another; the last again and again."""

    stores: list[Any]

    def open(self, view: ViewRecord) -> OpenedStore:
        store = self.stores.pop(0) if len(self.stores) > 1 else self.stores[0]
        return OpenedStore(view, store, store)


def run(
    work: Callable[[OnlineFeatures], Awaitable[None]],
    *stores: Store,
    url: str | None = None,
    retry: float = OnlineTimings.retry,
) -> ServerMetrics:
    """Do it over these stores; what was counted."""
    telemetry = ServerMetrics(SharedCounters())

    async def main() -> None:
        opener = Opening(Settings(home=Path("nowhere"), online_url=url), "clients")
        object.__setattr__(opener, "stores", list(stores))
        served = OnlineFeatures(opener, telemetry, PROJECT_VIEW, OnlineTimings(retry=retry))
        try:
            await work(served)
        finally:
            for store in stores:
                store.let.set()
            served.close()

    asyncio.run(main())
    return telemetry


async def refused(reading: Awaitable[Any]) -> Problem:
    with pytest.raises(Problem) as caught:
        await reading
    return caught.value


@pytest.mark.parametrize("url", [None, ELSEWHERE])
def test_the_first_request_opens_the_store(url: str | None) -> None:
    async def work(served: OnlineFeatures) -> None:
        assert (await served.get(CLIENT)).values == {"age": 40}
        assert (await refused(served.get(STRANGER))).status == 404
        results = await served.get_many([STRANGER, CLIENT])
        assert [features is None for features in results] == [True, False]
        assert await served.get_many([STRANGER]) == [None]
        assert served.unready_reason is None

    counted = run(work, Store(), url=url).snapshot().reads
    assert counted == {"clients": {"found": 2, "unknown": 3, "failed": 0}}


@pytest.mark.parametrize("url", [None, ELSEWHERE])
def test_an_unreadable_entity_is_503_for_its_own_requests(url: str | None) -> None:
    async def work(served: OnlineFeatures) -> None:
        await served.get(CLIENT)
        assert (await refused(served.get(TORN))).status == 503
        assert (await served.get(CLIENT)).entity == CLIENT
        assert served.reason == "KeyError: 'torn'"
        await served.update_view(PROJECT_VIEW)
        assert served.reason is None

    counted = run(work, Store(), url=url).snapshot().reads
    assert counted == {"clients": {"found": 2, "unknown": 0, "failed": 1}}


def test_a_remote_store_that_is_away_is_not_read_by_every_request() -> None:
    store = Store()

    async def work(served: OnlineFeatures) -> None:
        await served.get(CLIENT)
        store.away = True
        for _ in range(5):
            problem = await refused(served.get(CLIENT))
            assert problem.status == 503
            assert "away" not in problem.detail  # for what it says may name hosts
        assert served.reason == "It is away."

    run(work, store, url=ELSEWHERE, retry=600.0)
    assert store.read_ids == [CLIENT, CLIENT]  # answered, then found to be away


def test_a_remote_store_that_was_away_is_read_again() -> None:
    store = Store()

    async def work(served: OnlineFeatures) -> None:
        await served.get(CLIENT)
        store.away = True
        assert (await refused(served.get(CLIENT))).status == 503
        store.away = False
        assert (await served.get(CLIENT)).entity == CLIENT

    run(work, store, url=ELSEWHERE, retry=0.0)
    assert store.read_ids == [CLIENT] * 3


def test_a_silent_store_is_given_up_and_opened_anew() -> None:
    silent, fresh = Store(), Store()

    async def work(served: OnlineFeatures) -> None:
        await served.get(CLIENT)
        silent.let.clear()
        served._executor.timeout = 0.05
        assert (await refused(served.get(CLIENT))).status == 503
        assert "has not answered" in str(served.reason)
        assert (await refused(served.get(CLIENT))).status == 503
        assert fresh.read_ids == []  # nobody asks before it is looked for again
        served._executor.timeout = TIMEOUT
        await served.update_view(PROJECT_VIEW)
        assert (await served.get(CLIENT)).entity == CLIENT
        assert served.reason is None

    run(work, silent, fresh, url=ELSEWHERE)
    assert fresh.read_ids == [CLIENT]


def test_a_silent_store_does_not_delay_the_start() -> None:
    silent = Store()
    silent.let.clear()

    async def work(served: OnlineFeatures) -> None:
        served._executor.timeout = 0.05
        await served.update_view(PROJECT_VIEW)
        assert served.unready_reason == served.reason
        assert "has not answered" in str(served.reason)
        assert (await refused(served.get(CLIENT))).status == 503
        silent.let.set()
        served._executor.timeout = TIMEOUT
        await served.update_view(PROJECT_VIEW)
        assert (await served.get(CLIENT)).entity == CLIENT

    run(work, silent)


def test_a_store_that_was_never_filled_answers_503_and_not_unknown() -> None:
    store = Store()
    filled, store.fresh = store.fresh, None

    async def work(served: OnlineFeatures) -> None:
        for reading in (served.get(STRANGER), served.get_many([STRANGER])):
            problem = await refused(reading)
            assert problem.status == 503
            assert "windlass features materialise clients" in problem.detail
        assert served.age() is None
        store.fresh = filled
        assert (await refused(served.get(STRANGER))).status == 404
        age = served.age()
        assert age is not None
        assert (age.snapshot, age.materialised_at, age.stale) == (3, 2.0, True)

    run(work, store)


def test_a_new_view_is_read_once_the_store_holds_it() -> None:
    before, after = Store(), Store()
    newer = PROJECT_VIEW.model_copy(update={"version": "newer"})

    async def work(served: OnlineFeatures) -> None:
        await served.update_view(PROJECT_VIEW)
        await served.update_view(newer)
        assert served.view == PROJECT_VIEW
        assert before.fresh is not None
        before.fresh = before.fresh.model_copy(update={"view": "newer"})
        await served.update_view(newer)
        assert served.view == newer
        await served.update_view(None)
        assert not served.has_view()
        assert (await refused(served.get(STRANGER))).status == 404
        await served.update_view(newer)

    run(work, before, after)
    assert before.closed
