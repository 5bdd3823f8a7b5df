"""Measures Feast's online read, in its own environment: `feast_online.py LATEST.parquet FOLDER`, seconds as JSON."""

import json
import sys
import time
from datetime import timedelta
from pathlib import Path
from random import Random
from statistics import median

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64, String

READS, MANY = 1_000, 100


def main(latest: Path, folder: Path) -> None:
    """Defines the view, writes every client to the online store, and measures reads."""
    folder.mkdir()
    (folder / "feature_store.yaml").write_text(
        "project: bench\nprovider: local\nregistry: registry.db\n"
        "online_store:\n  type: sqlite\n  path: online.db\nentity_key_serialization_version: 3\n"
    )
    store = FeatureStore(repo_path=str(folder))
    client = Entity(name="client", join_keys=["id"], value_type=ValueType.INT64)
    view = FeatureView(
        name="clients",
        entities=[client],
        ttl=timedelta(days=36500),
        schema=[
            Field(name="id", dtype=Int64),
            Field(name="nb_previous_loans", dtype=Int64),
            Field(name="avg_amount_loans_previous", dtype=Float64),
            Field(name="flag_own_car", dtype=Int64),
            Field(name="birthday", dtype=String),
            Field(name="job_start_date", dtype=String),
        ],
        source=FileSource(path=str(latest), timestamp_field="loan_date"),
    )
    store.apply([client, view])
    frame = pd.read_parquet(latest)
    frame["loan_date"] = pd.to_datetime(frame["loan_date"], utc=True)
    for name in ("birthday", "job_start_date"):
        frame[name] = frame[name].astype(str)
    names = [field.name for field in view.schema if field.name != "id"]
    store.write_to_online_store("clients", frame[["id", "loan_date", *names]])
    wanted = [f"clients:{name}" for name in names]
    random, ids = Random(1), frame["id"].tolist()

    def read(count: int) -> float:
        rows = [{"id": entity} for entity in random.sample(ids, count)]
        begun = time.perf_counter()
        store.get_online_features(wanted, rows).to_dict()
        return time.perf_counter() - begun

    read(1)
    print(
        json.dumps(
            {
                "one entity": median(read(1) for _ in range(READS)),
                f"{MANY} entities": median(read(min(MANY, len(ids))) for _ in range(READS // 10)),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]).absolute())
