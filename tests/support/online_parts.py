"""Parts of what is newest of clients, as the offline store writes them, and snapshots to go with them."""

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tests.support.loan_view import NO_JOB, PROJECT_VIEW

from windlass.core.feature_view import ViewRecord
from windlass.features.offline.snapshot import Snapshot
from windlass.features.online.store import OnlineStore

OpenStore = Callable[..., OnlineStore]
DAY = date(2020, 12, 30)
COMPUTED = 1_763_719_200.5
TYPES: dict[str, pa.DataType] = {
    "id": pa.int64(),
    "loan_date": pa.date32(),
    "loan_id": pa.int64(),
    "birthday": pa.date32(),
    "job_start_date": pa.date32(),
    "nb_previous_loans": pa.int64(),
    "avg_amount_loans_previous": pa.float64(),
    "flag_own_car": pa.int32(),
    "computed_at": pa.float64(),
}
PLAIN: dict[str, Any] = {
    "id": 1,
    "loan_date": DAY,
    "loan_id": 7,
    "birthday": date(1980, 2, 29),
    "job_start_date": NO_JOB,
    "nb_previous_loans": 4,
    "avg_amount_loans_previous": 101.5,
    "flag_own_car": 1,
    "computed_at": COMPUTED,
}


def snapshot_of(
    number: int = 1, created: float = 1000.0, view: str = PROJECT_VIEW.version
) -> Snapshot:
    """A snapshot of this number, in no folder: all that a materialisation wants to know of one."""
    nothing: dict[str, Any] = dict.fromkeys(["events", "entities", "recomputed"], 0)
    empty: dict[str, Any] = {"quality": {}, "files": {}, "newest": None, "parent": None}
    return Snapshot(
        number=number,
        created=created,
        view=view,
        buckets=1,
        digest="",
        order=("id", "loan_date", "loan_id"),
        folder=Path("none"),
        **nothing,
        **empty,
    )


def rows(*changes: dict[str, Any]) -> pa.Table:
    """A row for each of these, which says what differs from the plain client."""
    return pa.Table.from_pylist([PLAIN | change for change in changes], schema=pa.schema(TYPES))


def stored_columns(**changes: Any) -> dict[str, Any]:
    """The stored columns of the plain client, with these changes."""
    return {name: (PLAIN | changes)[name] for name in PROJECT_VIEW.stored_columns}


def write_parts(folder: Path, entities: Sequence[int], parts: int, **changes: Any) -> list[Path]:
    """Parts that hold these entities, by turns."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"part-{number:02}.parquet" for number in range(parts)]
    for number, path in enumerate(paths):
        entities_of_part = [{"id": entity, **changes} for entity in entities[number::parts]]
        pq.write_table(rows(*entities_of_part), path)
    return paths


def changed_view(**changes: Any) -> ViewRecord:
    """The view with these changes."""
    return PROJECT_VIEW.model_copy(update=changes)
