"""Made-up loans: who has had many is seldom late."""

import csv
from datetime import date, timedelta
from pathlib import Path
from random import Random

import pyarrow.csv
import pyarrow.parquet

HEADER = ("loan", "client", "day", "amount", "birthday", "late")


def generate(clients: int, seed: int, out: Path) -> int:
    """Write the loans of at most 200 clients as CSV or Parquet; returns how many."""
    random = Random(seed)
    rows = [row for client in range(min(clients, 200)) for row in _loans(client, random)]
    csv_file = out.with_suffix(".csv")
    with csv_file.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(rows)
    if out.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.csv.read_csv(csv_file), out)
    return len(rows)


def _loans(client: int, random: Random) -> list[tuple[object, ...]]:
    born = date(1960, 1, 1) + timedelta(random.randrange(12_000))
    days = sorted(random.randrange(700) for _ in range(random.randint(1, 8)))
    return [
        (
            client * 100 + before,
            client,
            date(2019, 1, 1) + timedelta(day),
            round(random.uniform(100, 200), 2),
            born,
            int(random.random() < 0.6 / (1 + before)),
        )
        for before, day in enumerate(days)
    ]
