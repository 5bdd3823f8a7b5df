"""Measures the feature stores: reading one entity and many, materialising, point-in-time joins."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.measure import ROOT
from benchmarks.report import Verdict

from windlass.core.feature_view import FeatureView, ViewRecord
from windlass.core.progress import ignore_progress
from windlass.core.project_loader import load_project
from windlass.features.offline.build import BuildOptions, build
from windlass.features.offline.point_in_time import point_in_time
from windlass.features.offline.snapshot import Snapshot
from windlass.features.offline.store import OfflineStore
from windlass.features.online.materialise import materialise
from windlass.features.online.reader import FeatureReader
from windlass.features.online.store import online_store
from windlass.settings import Settings
from windlass.workflows.features import generate_events

EXAMPLE = ROOT / "examples" / "credit_risk"
REAL = ROOT.parent / "shared/data/credit_risk/dataset_credit_risk.parquet"
CLIENTS = 36_457  # of the real file
READS, MANY = 3_000, 100
ROWS = 1_000_000  # rows to materialise, and labels to join


@dataclass(frozen=True)
class Subject:
    """A feature view, a raw file and the snapshot built from it. `origin` says where the file comes from."""

    view: FeatureView
    record: ViewRecord
    file: Path
    origin: str
    snapshot: Snapshot
    work: Path
    rows: int

    @property
    def loans(self) -> int:
        """Number of raw loans."""
        return int(pq.read_metadata(self.file).num_rows)

    @property
    def clients(self) -> int:
        """Number of clients in the snapshot."""
        return self.snapshot.entities

    def ids(self) -> "np.typing.NDArray[np.int64]":
        """Returns the ids of all clients."""
        parts = [pq.read_table(part, columns=["id"])["id"] for part in self.snapshot.latest_parts()]
        ids: np.typing.NDArray[np.int64] = pa.chunked_array(
            [c for p in parts for c in p.chunks]
        ).to_numpy()
        return ids


def prepared(work: Path, *, quick: bool) -> Subject:
    """Builds a snapshot of the real file if it exists, else of a generated one of the same size (small if quick)."""
    project, _ = load_project(EXAMPLE)
    assert project.view is not None
    assert project.view_record is not None
    file, origin = REAL, "the rebuilt real file"
    if quick or not REAL.is_file():
        file, origin = work / "loans.parquet", "made up"
        generate_events(EXAMPLE, file, 500 if quick else CLIENTS)
    print(f"… building features of {file}", file=sys.stderr, flush=True)
    store = OfflineStore(work / "offline", project.name)
    snapshot = build(
        project.view, project.view_record, store, file, BuildOptions(), ignore_progress
    )
    if file != REAL:
        file = _good(snapshot, work)
    rows = 20_000 if quick else ROWS
    return Subject(project.view, project.view_record, file, origin, snapshot, work, rows)


def _good(snapshot: Snapshot, work: Path) -> Path:
    """Writes the generated loans that passed the checks, with dates as text, as the notebook needs them."""
    loans = pa.concat_tables([pq.read_table(part) for part in snapshot.event_parts()])
    for place, field in enumerate(loans.schema):
        if pa.types.is_date(field.type):
            loans = loans.set_column(place, field.name, loans[field.name].cast(pa.string()))
    file = work / "good.parquet"
    pq.write_table(loans.sort_by("loan_id"), file)
    return file


def reading(subject: Subject, rounds: int) -> list[Verdict]:
    """Measures reads of one entity and of a hundred from SQLite, with on-demand features, as a server reads them."""
    settings = Settings(home=subject.work / "reading")
    store = online_store(settings, subject.record, "bench")
    materialise(
        store, subject.record, subject.snapshot.latest_parts(), subject.snapshot, ignore_progress
    )
    reader = FeatureReader(subject.record, store)
    random = np.random.default_rng(1)
    one, many = [], []
    for _ in range(rounds):
        ids = random.choice(subject.ids(), READS).tolist()
        one += [_timed(partial(reader.get, entity)) for entity in ids]
        groups = [random.choice(subject.ids(), MANY).tolist() for _ in range(READS // 10)]
        many += [_timed(partial(reader.get_many, group)) for group in groups]
    store.close()
    return [
        Verdict("online read of one entity, SQLite", median(one) * 1e6, 20, "µs", at_least=False),
        Verdict(f"of {MANY} entities", median(many) * 1e6, 300, "µs", at_least=False),
    ]


def materialising(subject: Subject, rounds: int) -> list[Verdict]:
    """Measures materialising a million entities into an empty SQLite store."""
    part = subject.work / "part-000.parquet"
    known = pa.concat_tables([pq.read_table(part) for part in subject.snapshot.latest_parts()])
    times = -(-subject.rows // len(known))
    table = pa.concat_tables([known] * times).slice(0, subject.rows)
    place = table.column_names.index(subject.record.entity)
    ids = pa.array(np.arange(len(table)))
    pq.write_table(table.set_column(place, subject.record.entity, ids), part)
    seconds = []
    for turn in range(rounds):
        settings = Settings(home=subject.work / f"materialised-{turn}")
        store = online_store(settings, subject.record, "bench")
        write = partial(
            materialise, store, subject.record, [part], subject.snapshot, ignore_progress
        )
        seconds.append(_timed(write))
        store.close()
    rate = len(table) / median(seconds)
    return [Verdict("materialise into SQLite", rate, 200_000, "rows/s", at_least=True)]


def join(subject: Subject, rounds: int) -> list[Verdict]:
    """Measures the point-in-time join of a million labels of random clients and days."""
    random = np.random.default_rng(2)
    days = random.integers(0, 730, subject.rows)
    first = date(2019, 1, 1)
    calendar = pa.array([first + timedelta(day) for day in range(730)])
    labels = pa.table(
        {
            subject.record.entity: random.choice(subject.ids(), subject.rows),
            "label_date": calendar.take(pa.array(days)),
        }
    )
    seconds = [
        _timed(lambda: point_in_time(subject.record, subject.snapshot, labels, "label_date"))
        for _ in range(rounds)
    ]
    what = f"point-in-time join of {subject.rows:,} labels"
    return [Verdict(what, median(seconds), 5, "s", at_least=False)]


def _timed(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun
