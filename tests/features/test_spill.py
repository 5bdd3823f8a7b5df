"""A bucket that is larger than DuckDB's memory: it goes to the disk, and the features are the same."""

import json
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from tests.support.loan_view import make_loans
from tests.support.snapshots import build_snapshot, offline_store

from windlass.features.offline.build import BuildOptions
from windlass.features.offline.look_ahead import LookAheadCheck
from windlass.features.offline.parts import bucket_of

BUCKETS = 4
# the client whom nearly all loans belong to; in the last bucket, as each connection has the profile of its last query
CLIENT = next(
    client
    for client in range(99)
    if bucket_of(pl.DataFrame({"id": [client]}), BUCKETS)[0] == BUCKETS - 1
)
SMALL, AMPLE = "32MB", "4GB"


def skewed_loans() -> pl.DataFrame:
    """Some 400,000 loans of one client, and a few of others."""
    loans = make_loans(400, seed=3)
    most = [
        loans.with_columns(pl.col("loan_id") + nth * 10**6, id=pl.lit(CLIENT, pl.Int64))
        for nth in range(1, 201)
    ]
    return pl.concat([loans, *most])


def max_spilled_bytes(folder: Path) -> int:
    """The bytes that DuckDB says it had on the disk at a time, in any of its queries."""
    profiles = [json.loads(text) for file in folder.glob("*.json") if (text := file.read_bytes())]
    assert profiles
    return max(peak for profile in profiles for peak in memory_peaks(profile))


def memory_peaks(profile: Any) -> list[int]:
    inner = (
        profile.values()
        if isinstance(profile, dict)
        else profile
        if isinstance(profile, list)
        else []
    )
    own = [profile["peak_temp_dir_size"]] if "peak_temp_dir_size" in (profile or ()) else []
    return own + [
        peak for item in inner if isinstance(item, dict | list) for peak in memory_peaks(item)
    ]


@pytest.fixture
def profile_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the profiles of the last query of each DuckDB connection. One more thread wants more memory."""
    # whose queries on small histories would be a connection's last ones
    monkeypatch.setattr(LookAheadCheck, "run", lambda *_: None)
    folder, connect = tmp_path / "profiles", duckdb.connect
    folder.mkdir()

    def profiling(config: dict[str, Any]) -> Any:
        connection = connect(config=config | {"threads": 1})
        file = folder / f"{len(list(folder.iterdir()))}.json"
        file.touch()
        connection.execute("SET enable_profiling = 'json'")
        connection.execute("SET profiling_coverage = 'ALL'")
        connection.execute(f"SET profiling_output = '{file}'")
        return connection

    monkeypatch.setattr(duckdb, "connect", profiling)
    return folder


def test_a_large_bucket_spills_to_the_disk_with_the_same_result(
    tmp_path: Path, profile_file: Path
) -> None:
    loans = skewed_loans()
    ample = build_snapshot(
        offline_store(tmp_path / "ample"), loans, BuildOptions(memory=AMPLE, buckets=BUCKETS)
    )
    assert max_spilled_bytes(profile_file) == 0
    small = build_snapshot(
        offline_store(tmp_path / "small"), loans, BuildOptions(memory=SMALL, buckets=BUCKETS)
    )
    assert max_spilled_bytes(profile_file) > 1 << 20
    assert small.digest == ample.digest
    assert small.events == loans.height
    assert not list((tmp_path / "small").rglob("spill"))
