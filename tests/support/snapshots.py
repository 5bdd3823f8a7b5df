"""Snapshots of made-up loans, for tests: written to a raw file, built, and read back."""

from pathlib import Path

import polars as pl
from tests.support.loan_view import PROJECT_VIEW, VIEW

from windlass.core.feature_view import FeatureView
from windlass.core.hashing import sha256_file
from windlass.features.offline.build import BuildOptions, build
from windlass.features.offline.snapshot import Snapshot
from windlass.features.offline.store import OfflineStore

ORDER = ["id", "loan_date", "loan_id"]


def offline_store(folder: Path) -> OfflineStore:
    """An offline store below a folder."""
    return OfflineStore(folder / "features" / "loans", "loans")


def build_snapshot(
    store: OfflineStore,
    raw: "pl.DataFrame | Path",
    options: BuildOptions | None = None,
    view: FeatureView = VIEW,
) -> Snapshot:
    """The snapshot that a build of these raw loans makes."""
    if isinstance(raw, pl.DataFrame):
        store.folder.mkdir(parents=True, exist_ok=True)
        file = store.folder / "raw.parquet"
        raw.write_parquet(file)
    else:
        file = raw
    record = view.record(PROJECT_VIEW.features)
    return build(view, record, store, file, options or BuildOptions(), lambda *_: None)


def read_sorted(parts: list[Path]) -> pl.DataFrame:
    """The rows of parts in the order of entity, time and key, wherever they lie."""
    return pl.read_parquet(parts).sort(ORDER)


def assert_complete(store: OfflineStore) -> None:
    """Checks the digest of every file of every snapshot."""
    for snapshot in store.snapshots():
        for name, digest in snapshot.files.items():
            assert sha256_file(snapshot.folder / name) == digest


def snapshot_names(store: OfflineStore) -> list[str]:
    """Returns the path of every file and folder below a store, sorted."""
    return sorted(str(path.relative_to(store.folder)) for path in store.folder.rglob("*"))
