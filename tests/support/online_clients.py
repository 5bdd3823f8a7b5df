"""Clients of whom an online store knows, and a registry that has declared their view: for tests of serving."""

import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tests.support.loan_view import NO_JOB, PROJECT_VIEW
from tests.support.online_parts import snapshot_of
from tests.support.registry_home import RegistryHome

from windlass.core.feature_view import ServedEvent, ViewRecord
from windlass.core.project_spec import ProjectSpec
from windlass.features.online.materialise import materialise
from windlass.features.online.store import OnlineStore, online_store
from windlass.settings import Settings

PROJECT = Path("clients")  # in the registry
MIN_ID, MAX_ID = -(2**63), 2**63 - 1
PLAIN, MISSING, CHILD, UNKNOWN = 5008804, 101, 102, 777_888_999
COMPUTED = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)

# what is stored of each: loans, their average, whether there is a car, birthday, first day at work, newest loan
_STORED: dict[int, tuple[int, float | None, int | None, date, date | None, date]] = {
    PLAIN: (4, 117.25, 1, date(1980, 1, 15), date(2015, 3, 1), date(2020, 12, 30)),
    MISSING: (1, None, None, date(1990, 7, 2), NO_JOB, date(2019, 6, 1)),
    CHILD: (2, 90.5, 0, date(2020, 2, 29), None, date(2020, 1, 5)),  # too young for the row
    MIN_ID: (3, 80.0, 0, date(1970, 5, 5), None, date(2020, 4, 1)),
    MAX_ID: (5, 70.0, 1, date(1960, 6, 6), None, date(2020, 5, 1)),
}
_COLUMNS = (
    "nb_previous_loans",
    "avg_amount_loans_previous",
    "flag_own_car",
    "birthday",
    "job_start_date",
    "loan_date",
)


def _before_event(client: int) -> dict[str, Any]:
    """What was stored of a client before their newest loan: one loan fewer, and no average."""
    stored: dict[str, Any] = dict(zip(_COLUMNS[:-1], _STORED[client], strict=False))
    loans = stored["nb_previous_loans"] - 1
    return stored | {"nb_previous_loans": loans, "avg_amount_loans_previous": None}


def expected_features(
    client: int, view: ViewRecord = PROJECT_VIEW, at: ServedEvent = "next"
) -> dict[str, Any]:
    """What the view says of a client today, for the client's next loan or for the latest."""
    stored = dict(zip(_COLUMNS, _STORED[client], strict=True))
    return view.features_on(
        stored | _before_event(client) if at == "latest" else stored, datetime.now(UTC).date()
    )


def open_online_store(settings: Settings, view: ViewRecord = PROJECT_VIEW) -> OnlineStore:
    """The online store of the project."""
    return online_store(settings, view, str(PROJECT))


def fill_store(
    settings: Settings,
    view: ViewRecord = PROJECT_VIEW,
    number: int = 1,
    many: int = 0,
    *,
    before_event: bool = True,
) -> None:
    """Materialise a snapshot of these clients, and of `many` more with the ids from a million on.

    Without `before_event`, as an earlier version of Windlass built it.
    """
    rows = dict(_STORED) | dict.fromkeys(range(10**6, 10**6 + many), _STORED[PLAIN])
    table = pa.table(
        {
            "id": pa.array(rows, pa.int64()),
            "loan_id": pa.array(range(len(rows)), pa.int64()),
            **dict(zip(_COLUMNS, map(list, zip(*rows.values(), strict=True)), strict=True)),
            "computed_at": [COMPUTED.timestamp()] * len(rows),
        }
    )
    if before_event:
        before = [_before_event(client if client in _STORED else PLAIN) for client in rows]
        table = table.append_column("before_event", pa.array(before))
    settings.home.mkdir(parents=True, exist_ok=True)
    part = settings.home / "part-00.parquet"
    pq.write_table(table, part)
    store = open_online_store(settings, view)
    snapshot = snapshot_of(number, time.time(), view.version)
    materialise(store, view, [part], snapshot, lambda _, __: None)
    store.close()


def declare_view(registry_home: RegistryHome, view: ViewRecord | None = PROJECT_VIEW) -> None:
    """Have the registry know the project, and its view."""
    declared = ProjectSpec(name=str(PROJECT), folder=str(registry_home.home / "nowhere"), view=view)
    registry_home.registry.declare(declared)


def approve_bundle(
    registry_home: RegistryHome, bundle: Path, view: ViewRecord | None = PROJECT_VIEW
) -> str:
    """Put a bundle of the project in production, and declare its view; the name of the version."""
    name = registry_home.live(bundle, str(PROJECT))
    declare_view(registry_home, view)
    return name
